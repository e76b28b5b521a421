import pickle
from pathlib import Path

import mmengine.dist.dist
from mmengine.dist import collect_results
from mmengine.evaluator import BaseMetric
from two_processes import in_two_processes

from mmsoco.engine.gathering import gather_results, gather_without_files


class Sum(BaseMetric):
    """What it was given, in order."""

    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        return {'order': results}


def test_results_come_in_the_data_sets_order_and_no_file_is_made(tmp_path, monkeypatch):
    (tmp_path / 'locked').mkdir()
    monkeypatch.chdir(tmp_path / 'locked')
    Path().chmod(0o500)  # of no effect for root, who finds the folder empty

    def evaluate(rank):
        gather_without_files()
        metric = Sum()
        metric.process({}, list(range(rank, 8, 2)))  # the last one only makes them equal
        return metric.evaluate(7)

    outcomes = in_two_processes(evaluate, tmp_path)
    assert outcomes == [{'order': list(range(7))}] * 2
    assert not list((tmp_path / 'locked').iterdir())


def test_mmengines_own_way_gives_the_same(tmp_path, monkeypatch):
    parts = [[{'a': 1}, {'a': 3}, None], [{'a': 2}]]

    def collect(rank):
        theirs = collect_results(parts[rank], 3, tmpdir=str(tmp_path / 'parts'))
        return theirs, gather_results(parts[rank], 3), gather_results(parts[rank], 3, str(tmp_path / 'again'))

    (theirs, ours, by_folder), others = in_two_processes(collect, tmp_path)
    assert theirs == ours == by_folder == [{'a': 1}, {'a': 2}, {'a': 3}] and others == (None, None, None)


def test_all_metrics_come_by_the_function_that_is_replaced(monkeypatch):
    monkeypatch.setattr(mmengine.dist.dist, 'collect_results_cpu', None)
    gather_without_files()
    assert mmengine.dist.dist.collect_results_cpu is gather_results
    assert collect_results.__globals__['collect_results_cpu'] is gather_results
    assert gather_results([1, 2], 1) == [1] and pickle.loads(pickle.dumps(gather_results)) is gather_results
