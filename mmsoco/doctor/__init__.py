"""What is installed, whether it works, and mending what pip alone cannot."""
