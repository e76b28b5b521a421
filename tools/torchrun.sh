#!/usr/bin/env bash
# A script in several processes of this node.
#
#   tools/torchrun.sh PROCESSES SCRIPT [arguments]
#
# Several nodes: NNODES, NODE_RANK, MASTER_ADDR and PORT (default 29500), set on each. MAX_RESTARTS:
# how often all processes are started again when one is lost (default 0). SHUTDOWN_TIMEOUT: seconds
# that they have to save when they are told to stop (default 300).
set -euo pipefail
processes=$1
shift
tools=$(dirname "${BASH_SOURCE[0]}")
python=${PYTHON:-$tools/../.venv/bin/python}
[[ -x $python ]] || python=python
nodes=${NNODES:-1}
# On a single node any free port will do.
port=${PORT:-$((nodes > 1 ? 29500 : 0))}
# Processes that start again would find the addresses of the dead ones in a store that outlives them.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
exec "$python" "$tools/torchrun.py" \
    --nnodes="$nodes" \
    --nproc_per_node="$processes" \
    --max_restarts="${MAX_RESTARTS:-0}" \
    --rdzv_backend=c10d \
    --rdzv_endpoint="${MASTER_ADDR:-127.0.0.1}:$port" \
    --rdzv_conf="is_host=$((${NODE_RANK:-0} == 0))" \
    "$@"
