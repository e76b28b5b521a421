#!/usr/bin/env bash
# Sets up .venv: torch, the OpenMMLab packages and mmsoco itself, editable.
#
#   tools/setup.sh onedl         the maintained OpenMMLab packages (onedl-*); the default
#   tools/setup.sh upstream      the original ones
#
# TORCH_INDEX: where torch comes from, an index of packages or a short name of one of PyTorch's, such
# as cu126 or cpu. TORCH: which, a version or a requirement, such as 2.7.1 or 'torch<2.8'. By default
# the newest that setup.cfg allows, from PyPI.
#
# mmcv is compiled once for each torch version, and card; the wheel is kept in
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

# So it does with its torch.
if [[ -z ${TORCH_INDEX:-}${TORCH:-} ]]; then
    { read -r TORCH_INDEX && read -r TORCH; } 2>/dev/null <"$venv/.mmsoco-torch" || TORCH_INDEX='' TORCH=''
elif [[ -x $venv/bin/python ]] &&
    ! cmp -s "$venv/.mmsoco-torch" <(printf '%s\n%s\n' "${TORCH_INDEX:-}" "${TORCH:-}"); then
    echo "setup: .venv holds another torch; run 'make clean', then the same again" >&2
    exit 2
fi
case ${TORCH_INDEX:=} in
    '' | *://*) index=$TORCH_INDEX ;;
    *[!a-z0-9._-]*) echo "setup: TORCH_INDEX '$TORCH_INDEX' is neither an address nor a name such as cu126" >&2; exit 2 ;;
    *) index=https://download.pytorch.org/whl/$TORCH_INDEX ;;
esac
case ${TORCH:=} in
    '' | torch | torch[' <>=!~']*) torch=${TORCH:-torch} ;;
    [0-9]*) torch=torch==$TORCH ;;
    [\<\>=!~]*) torch=torch$TORCH ;;
    *) echo "setup: TORCH '$TORCH' is no version of torch, such as 2.7.1 or 'torch<2.8'" >&2; exit 2 ;;
esac

python=${PYTHON:-python3}
stamp=$venv/.mmsoco-setup
# What the environment was made from: set up again only when that changes.
wanted=$(cat setup.cfg pyproject.toml tools/setup.sh stubs/*/setup.cfg | sha256sum | cut -d' ' -f1)-$line-$index-$torch
if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then
    echo "setup: .venv is up to date"
    exit 0
fi

say() { echo "setup: $*"; }
pip() { "$venv/bin/python" -m pip "$@"; }
# What setup.cfg requires for an extra, a line each.
requirements() {
    "$venv/bin/python" - "$1" <<'PY'
import configparser
import sys

config = configparser.ConfigParser()
config.read('setup.cfg')
print(*config['options.extras_require'][sys.argv[1]].split(), sep='\n')
PY
}

"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' ||
    { echo "setup: Python 3.10, 3.11, 3.12 or 3.13 is needed; name it as PYTHON=..." >&2; exit 2; }
say "creating .venv (2 minutes of downloads, plus mmcv's compilation the first time)"
rm -f "$stamp"
[[ -x $venv/bin/python ]] || "$python" -m venv "$venv"
echo "$line" >"$venv/.mmsoco-line"
printf '%s\n%s\n' "$TORCH_INDEX" "$TORCH" >"$venv/.mmsoco-torch"
pip install -qq -U pip 'setuptools>=64,<82' wheel ninja psutil

say "installing torch and torchvision (1 to 5 minutes: some GB of downloads)"
if [[ -n $TORCH_INDEX$TORCH ]]; then
    mapfile -t allowed < <(requirements torch)
    pip install -qq ${index:+--index-url "$index"} "$torch" "${allowed[@]}" || {
        echo "setup: there is no torch for TORCH='$TORCH' TORCH_INDEX='$TORCH_INDEX' that setup.cfg allows" \
            "(${allowed[*]}); run 'make clean', then make setup with others" >&2
        exit 2
    }
fi
pip install -qq --no-build-isolation -e '.[torch]'

# As setup.cfg has it; and a cache folder for this torch, Python, and the cards that it is compiled for.
mmcv=$(requirements "$extra" | grep -E '^(onedl-)?mmcv=')
tag=$("$venv/bin/python" -W ignore tools/setup_check.py)
wheels=${MMSOCO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mmsoco}/wheels/$tag
mkdir -p "$wheels"
name=${mmcv//-/_}
if ! compgen -G "$wheels/${name/==/-}-*.whl" >/dev/null; then
    "$venv/bin/python" -W ignore tools/setup_check.py --compiler
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
