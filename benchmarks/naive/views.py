"""The endpoint: create the event, hand it to Celery."""

from __future__ import annotations

from typing import Any

from rest_framework import generics, serializers

from benchmarks.naive.models import Customer, Event
from benchmarks.naive.tasks import process_event


class EventSerializer(serializers.ModelSerializer):
    """One event as a shop sends it."""

    customer_id = serializers.CharField(max_length=200, write_only=True)

    class Meta:
        model = Event
        fields = (
            "id",
            "message_id",
            "customer_id",
            "event_type",
            "event_data",
            "timestamp",
            "session_id",
            "source",
            "device_info",
            "metadata",
        )

    def create(self, validated: dict[str, Any]) -> Event:
        """The customer is made when they are new."""
        customer, _ = Customer.objects.get_or_create(customer_id=validated.pop("customer_id"))
        return Event.objects.create(customer=customer, **validated)


class EventCreate(generics.CreateAPIView):
    """POST /events/"""

    queryset = Event.objects.all()
    serializer_class = EventSerializer

    def perform_create(self, serializer: EventSerializer) -> None:
        """Store, then tell a worker."""
        event = serializer.save()
        process_event.delay(event.id)
