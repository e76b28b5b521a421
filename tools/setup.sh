#!/usr/bin/env bash
# Sets up .venv: torch, the OpenMMLab packages and mmsoco itself, editable.
#
#   tools/setup.sh onedl         the maintained OpenMMLab packages (onedl-*); the default
#   tools/setup.sh upstream      the original ones
#
# mmcv is compiled once for each torch version; the wheel is kept in
# $MMSOCO_CACHE (default ~/.cache/mmsoco), outside the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=$PWD/.venv
# Both lines install the same import packages: an environment keeps the one it began with.
kept=$(cat "$venv/.mmsoco-line" 2>/dev/null || true)
line=${1:-${kept:-onedl}}
case $line in
    onedl) extra=train ;;
    upstream) extra=train-upstream ;;
    *) echo "setup: unknown line '$line': use onedl or upstream" >&2; exit 2 ;;
esac
if [[ -n $kept && $kept != "$line" ]]; then
    echo "setup: .venv holds the $kept packages; run 'make clean' before 'make setup LINE=$line'" >&2
    exit 2
fi

python=${PYTHON:-python3}
stamp=$venv/.mmsoco-setup
# What the environment was made from: set up again only when that changes.
wanted=$(cat setup.cfg pyproject.toml tools/setup.sh stubs/*/setup.cfg | sha256sum | cut -d' ' -f1)-$line
if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then
    echo "setup: .venv is up to date"
    exit 0
fi

say() { echo "setup: $*"; }
pip() { "$venv/bin/python" -m pip "$@"; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    { echo "setup: Python 3.10 or newer is needed; name it as PYTHON=..." >&2; exit 2; }
say "creating .venv (2 minutes of downloads, plus mmcv's compilation the first time)"
rm -f "$stamp"
[[ -x $venv/bin/python ]] || "$python" -m venv "$venv"
echo "$line" >"$venv/.mmsoco-line"
pip install -qq -U pip 'setuptools>=64,<82' wheel ninja psutil

say "installing torch and torchvision (1 to 5 minutes: some GB of downloads)"
pip install -qq --no-build-isolation -e '.[torch]'

# The requirement as setup.cfg has it, and a cache folder for this torch, Python and,
# as mmcv compiles CUDA operators only where it sees a GPU, for GPU or none.
mmcv=$("$venv/bin/python" - "$extra" <<'PY'
import configparser
import sys

config = configparser.ConfigParser()
config.read('setup.cfg')
requirements = config['options.extras_require'][sys.argv[1]].split()
print(next(r for r in requirements if r.startswith(('mmcv', 'onedl-mmcv'))))
PY
)
tag=$("$venv/bin/python" - <<'PY'
import os
import sys

import torch

device = 'cuda' if torch.cuda.is_available() or os.environ.get('FORCE_CUDA') == '1' else 'cpu'
print(f'torch-{torch.__version__}-cp{sys.version_info.major}{sys.version_info.minor}-{device}')
PY
)
wheels=${MMSOCO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mmsoco}/wheels/$tag
mkdir -p "$wheels"
name=${mmcv//-/_}
if ! compgen -G "$wheels/${name/==/-}-*.whl" >/dev/null; then
    say "getting $mmcv; where no wheel is found it is compiling, about $((16 / $(nproc) + 1)) minutes, once"
    building=$(mktemp -d "$wheels/building.XXXXXX")
    trap 'rm -rf "$building"' EXIT
    # pip's own cache would not notice another torch version. Debug information
    # doubles the time of a file.
    MMCV_WITH_OPS=1 MAX_JOBS=$(nproc) CFLAGS="${CFLAGS:-} -g0" \
        pip wheel -qq --no-cache-dir --no-build-isolation --no-deps -w "$building" "$mmcv"
    mv "$building"/*.whl "$wheels/"
fi

say "installing the OpenMMLab packages and mmsoco"
# One command, so that the empty stand-ins keep both opencv packages away.
pip install -qq --no-build-isolation --find-links "$wheels" \
    ./stubs/opencv-python ./stubs/opencv-python-headless -e ".[$extra,dev]"

say "checking"
"$venv/bin/python" -W ignore - "$wheels" <<'PY'
import sys

import torch

try:
    from mmcv.ops import nms

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]], device=device), torch.ones(1, device=device), 0.5)
except (ImportError, RuntimeError) as error:
    sys.exit(f'setup: mmcv does not fit this torch ({error}); delete {sys.argv[1]} and run make setup again')

import cv2

cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
PY
echo "$wanted" >"$stamp"
say "done"
