"""A plan of a pretraining that nobody made."""

from mmsoco.pace import Pace
from mmsoco.pretrain.asked import Asked, Row
from mmsoco.pretrain.inspection import Facts
from mmsoco.pretrain.networks import Network
from mmsoco.pretrain.objects import Trial
from mmsoco.pretrain.plan import Plan
from mmsoco.pretrain.proposals import Search
from mmsoco.pretrain.recipes import Recipe, Samples
from mmsoco.proposals.filters import ProposalFilter


def a_plan(images='/data/some images', **changes):
    """With some of its parts others."""
    rules = ProposalFilter(size=(0.15, 0.6), min_side=16)
    facts = Facts(
        root=str(images),
        found=120,
        readable=110,
        unreadable={'<b>.jpg': 'not an image but text'},
        duplicates=['c.jpg'],
        sides=(300, 400),
        smallest=(20, 30),
        largest=(4000, 3000),
        kinds={'RGB': 110},
        sampled=110,
        notes=['passed over: 2 .txt'],
    )
    parts = dict(
        images=str(images),
        asked=Asked(),
        facts=facts,
        samples=Samples(109, 98, 109),
        recipe=Recipe('100-pictures_cpu', 32),
        network=Network('mask-rcnn', None),
        search=Search(200, 50),
        rules=rules,
        view=128,
        steps=400,
        pace=Pace(20, 1.5, 4),
        search_seconds=30,
        rows=[Row('images', '109', 'RGB <b>')],
        trials=[Trial(Search(100, 20), rules, 0.6, 0.3, 0.4, 21.5)],
    )
    return Plan(**{**parts, **changes})
