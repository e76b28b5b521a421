#!/usr/bin/env bash
# Runs a Python script on several processes of this node; dist_train.sh and dist_test.sh call it.
#
#   tools/torchrun.sh PROCESSES SCRIPT [arguments]
#
# Several nodes: NNODES, NODE_RANK, MASTER_ADDR and PORT, set on each.
set -euo pipefail
processes=$1
shift
python=${PYTHON:-$(dirname "${BASH_SOURCE[0]}")/../.venv/bin/python}
[[ -x $python ]] || python=python
exec "$python" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$processes" \
    "$@"
