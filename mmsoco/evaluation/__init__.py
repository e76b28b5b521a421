"""Metrics of detectors. They need mmdet: the registry imports their modules on first use, nothing here does."""
