"""Images of what the method does."""
