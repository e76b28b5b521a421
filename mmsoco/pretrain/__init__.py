"""From a folder of images to a checkpoint in one command."""
