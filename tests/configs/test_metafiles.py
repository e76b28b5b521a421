from collections import Counter

import yaml

from mmsoco.resources import CONFIGS, FOLDER, config_names


def all_models():
    index = yaml.safe_load((FOLDER / 'model-index.yml').read_text())['Import']
    files = {path: yaml.safe_load((FOLDER / path).read_text()) for path in index}
    return files, [model for file in files.values() for model in file['Models']]


def test_the_index_names_every_list_and_the_lists_every_config():
    files, models = all_models()
    assert set(files) == {f'configs/{path.relative_to(CONFIGS)}' for path in CONFIGS.glob('**/metafile.yml')}
    assert Counter(model['Config'] for model in models) == Counter(f'configs/{name}' for name in config_names())


def test_collections_and_pretrainings_are_there():
    files, models = all_models()
    collections = [one for file in files.values() for one in file.get('Collections', [])]
    names = {one['Name'] for one in collections}
    assert len(names) == len(collections) and {model['In Collection'] for model in models} == names
    known = {model['Name'] for model in models} | {'none', 'supervised on ImageNet-1k'}
    for model in models:
        # What is measured and what the paper says are never one.
        assert set(model) <= {
            *('Name', 'In Collection', 'Config', 'Metadata', 'Downstream', 'Weights'),
            *('Results', 'Paper Results'),
        }
        for result in model.get('Results', []) + model.get('Paper Results', []):
            assert result['Metrics'] and result['Task'] and result['Dataset']
            assert result.get('Pretraining', 'none') in known
        assert set(model.get('Downstream', ())) <= known


def test_nothing_of_the_paper_is_called_measured():
    _, models = all_models()
    measured = {model['Config'] for model in models if 'Results' in model}
    ours = ('own', 'quickstart', 'transfer/examples', 'channels', 'evidence')
    assert measured and all(name.startswith(tuple(f'configs/{folder}/' for folder in ours)) for name in measured)
    paper = [model for model in models if 'Paper Results' in model]
    assert len(paper) > 50 and not any('Results' in model for model in paper)
