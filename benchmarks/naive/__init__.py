"""What one writes first: a Django app with one REST endpoint and one Celery task per event.

Idiomatic code without tricks and without sabotage: a ModelSerializer creates the event and `.delay(id)` hands it
over; the task loops over the active triggers, asks the ORM what it needs, records executions, sends the mail.
No retries, traces, versions, idempotency or locks: it does less than Beckon does.
"""
