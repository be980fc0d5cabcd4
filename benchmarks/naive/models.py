"""Customers, triggers, events, executions: the tables one starts with."""

from __future__ import annotations

from django.db import models


class Customer(models.Model):
    """Somebody who does things."""

    customer_id = models.CharField(max_length=200, unique=True)
    email = models.EmailField(blank=True, default="")
    lifetime_value = models.FloatField(default=0)
    orders = models.IntegerField(default=0)
    engagement_score = models.FloatField(default=0.5)
    last_activity = models.DateTimeField(null=True)
    is_subscribed = models.BooleanField(default=True)


class Trigger(models.Model):
    """When this, then that."""

    key = models.SlugField(max_length=50, unique=True)
    is_active = models.BooleanField(default=True)
    is_marketing = models.BooleanField(default=False)
    conditions = models.JSONField(default=list)
    actions = models.JSONField(default=list)
    cooldown_minutes = models.FloatField(null=True)
    max_per_customer = models.IntegerField(null=True)


class Event(models.Model):
    """Something a customer did."""

    message_id = models.CharField(max_length=128, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    event_type = models.CharField(max_length=100)
    event_data = models.JSONField(default=dict)
    timestamp = models.DateTimeField()
    session_id = models.CharField(max_length=100, blank=True, default="")
    source = models.CharField(max_length=50, blank=True, default="")
    device_info = models.JSONField(default=dict)
    metadata = models.JSONField(default=dict)
    is_processed = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(fields=["customer", "-timestamp"]),
            models.Index(fields=["event_type", "-timestamp"]),
        ]


class Execution(models.Model):
    """A trigger that fired."""

    trigger = models.ForeignKey(Trigger, on_delete=models.CASCADE)
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    event = models.ForeignKey(Event, on_delete=models.CASCADE)
    status = models.CharField(max_length=20, default="pending")
    reason = models.CharField(max_length=30, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["customer", "trigger", "-created_at"])]
