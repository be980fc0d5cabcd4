"""What do we do? Events, triggers, executions and deliveries."""
