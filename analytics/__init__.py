"""Did it work? Measures and demonstrates; the top app, which may see everything below."""
