"""A sample's boxes set by set, as tests look at them."""


def by_set(sample):
    """Box set -> view name -> boxes."""
    names = dict.fromkeys(name for sets in sample['boxes'].values() for name in sets)
    return {name: {view: sets[name] for view, sets in sample['boxes'].items() if name in sets} for name in names}


def distinct(sample):
    """Box set -> how many of its boxes differ; its pairs agree on it."""
    counts = {name: set(pairs.values()) for name, pairs in sample['matches'].items()}
    assert all(len(numbers) == 1 for numbers in counts.values())
    return {name: numbers.pop() for name, numbers in counts.items()}
