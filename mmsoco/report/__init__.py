"""What a pretraining was and did, as one HTML file."""
