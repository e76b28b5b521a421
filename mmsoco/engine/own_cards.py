"""Whether each process of a run has a card of its own."""

from collections import Counter
from collections.abc import Sequence

from mmsoco.errors import UserError
from mmsoco.resources import named

#: Of training and testing: how several processes of a node are started, and those of several by Slurm.
_COMMANDS = {
    'train': ('mmsoco train CONFIG --processes {0}', 'GPUS={1} GPUS_PER_NODE={0} {2}'),
    'test': (
        'mmsoco test CONFIG CHECKPOINT --processes {0}',
        'srun --gres=gpu:{0} --ntasks={1} --ntasks-per-node={0} mmsoco test CONFIG CHECKPOINT --launcher slurm',
    ),
}


def require_own_cards(held: Sequence[tuple[str, list[str], int]], launcher: str, tool: str) -> None:
    """Refuse processes that would share a card, or of which some have none.

    Args:
        held: Of each process its machine's name, the cards that it sees, and its number on the machine. One that
            sees a single card was shown its own by what started it.
        launcher: Who started them.
        tool: Which is to be started otherwise, ``train`` or ``test``.

    Raises:
        UserError: With the commands for several machines.
    """
    if not any(cards for _, cards, _ in held):
        return
    chosen = [cards[0] if len(cards) == 1 else cards[local] if local < len(cards) else None for _, cards, local in held]
    count = Counter(chosen)
    shared = next((rank for rank, card in enumerate(chosen) if card is None or count[card] > 1), None)
    if shared is None:
        return
    host, cards, _ = held[shared]
    if not cards:
        raise UserError(
            f'process {shared} on {host} has no GPU, and others have one; show it one (Slurm: --gres=gpu:1, Docker: '
            '--gpus all), or compute without: --device cpu'
        )
    asked = sum(name == host for name, *_ in held)
    there = len({card for name, cards, _ in held if name == host for card in cards})
    if asked <= there:
        raise UserError(
            f'processes on {host} share a GPU, as process {shared} does; let CUDA_VISIBLE_DEVICES show each of them '
            'its own one, or all of them all'
        )
    nodes = max(len(held) // there, 1)
    alone, by_slurm = (
        command.format(there, nodes * there, named('tools/slurm_train.sh')) for command in _COMMANDS[tool]
    )
    command = by_slurm
    if launcher != 'slurm':
        others = f'on each of {nodes} nodes NNODES={nodes} NODE_RANK=0 (1, ... on the others) MASTER_ADDR=FIRST_NODE '
        command = f'{others}{alone}, or {by_slurm}' if nodes > 1 else alone
    raise UserError(f'{asked} processes on {host}, which has {there} GPUs; start {command}')
