"""Reference pages written from what the code declares: conditions, actions, reasons, commands, errors."""
