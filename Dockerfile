# mmsoco with all that trains. Its packages come from Debian and PyPI alone: torch's bring CUDA's libraries, the driver
# is the host's.
#
#   docker build -t mmsoco .
#   docker run --gpus all --ipc=host -v "$PWD:/work" mmsoco search images raw
#
# LINE: onedl or upstream, the OpenMMLab packages. ARCHS: the cards that mmcv's operators are compiled for; each
# makes the compilation longer, and +PTX serves later ones.
FROM debian:bookworm-slim

# The compiler is torch.compile's, too.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ libgl1 libglib2.0-0 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

ENV PATH=/opt/mmsoco/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN python3 -m venv /opt/mmsoco
COPY . /src
RUN pip install "/src[duplicates,images,lvis,torch]"

ARG LINE=onedl
ARG ARCHS="7.5 8.0 8.6 8.9 9.0 10.0 12.0+PTX"
# There is no card here: mmcv is compiled for those that are named. nvcc comes for it, and goes.
RUN FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST="$ARCHS" MMSOCO_CACHE=/tmp/mmsoco mmsoco doctor --fix --line "$LINE" \
    && pip uninstall -y nvidia-cuda-nvcc nvidia-nvvm nvidia-cuda-crt nvidia-cuda-cccl \
    && rm -rf /tmp/mmsoco

WORKDIR /work
ENTRYPOINT ["mmsoco"]
CMD ["--help"]
