import detectors
import pytest


@pytest.mark.parametrize('name', detectors.OPERATORS)
def test_a_detector_trains_in_bfloat16(root, device, name):
    detector = detectors.build(root, name).to(device)
    full, half = detectors.losses_in_both(detector)
    assert half == pytest.approx(full, rel=0.02) and half != full
    assert all(p.isfinite().all() for p in detector.parameters())
