"""Changes of pixels made in the loader, and on a device."""

import numpy as np
import torch

from mmsoco.models.photometry import augment


def both_ways(chain, images, seed=0, draws=1, device='cpu', autocast=False):
    """(N, H, W, C) of the loader's functions, and of the device's, each image drawn for so many times."""
    rng = np.random.default_rng(seed)
    images = [image for image in images for _ in range(draws)]
    drawn = [[step.draw(rng, images[0].shape[2]) for step in chain] for _ in images]
    in_loader = []
    for image, of_sample in zip(images, drawn, strict=True):
        for step, values in zip(chain, of_sample, strict=True):
            image = step.apply(image, values)
        in_loader.append(image)
    columns = zip(*drawn, strict=True)
    batch = {
        type(step).__name__: torch.from_numpy(np.stack(values).astype(np.float32)).to(device)
        for step, values in zip(chain, columns, strict=True)
    }
    with torch.autocast(device, torch.bfloat16, enabled=autocast):
        on_device = augment(torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2), batch)
    assert on_device.device.type == device and on_device.dtype == torch.float32 and on_device.is_contiguous()
    return np.stack(in_loader), on_device.permute(0, 2, 3, 1).cpu().numpy()
