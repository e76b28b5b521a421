"""How well labels can be read from features: nearest neighbours and a linear classifier."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, one_hot

from mmsoco.probe.retrieval import centred


def balanced_accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Accuracy of each class, averaged over the classes there are; knowing nothing is 1 / classes."""
    hits = (predicted == labels).float()
    return float(torch.stack([hits[labels == label].mean() for label in labels.unique()]).mean())


def knn_accuracy(
    train: Tensor, train_labels: Tensor, test: Tensor, labels: Tensor, k: int = 10, temperature: float = 0.07
) -> float:
    """Balanced accuracy of the k nearest neighbours' vote, weighted by exp(cosine / temperature) (Wu et al. 2018).

    Args:
        train, test: (N, D) and (M, D) features; they are centred by the mean of all.
        train_labels, labels: (N,) and (M,) int64.
    """
    features = centred(torch.cat([train, test]))
    similarity = features[len(train) :] @ features[: len(train)].T
    near, index = similarity.topk(min(k, len(train)), dim=1)
    votes = one_hot(train_labels[index], int(max(train_labels.max(), labels.max())) + 1)
    return balanced_accuracy((votes * (near / temperature).exp()[..., None]).sum(dim=1).argmax(dim=1), labels)


def linear_accuracy(
    train: Tensor, train_labels: Tensor, test: Tensor, labels: Tensor, decay: float = 1e-2, steps: int = 100
) -> float:
    """Balanced accuracy of a linear classifier, fitted on standardised features by L-BFGS.

    Args:
        train, test: (N, D) and (M, D) features, scaled so that train has mean 0 and
            squared length 1 on average.
        train_labels, labels: (N,) and (M,) int64.
        decay: Weight of the squared weights in the loss; classes weigh alike in it.
        steps: Of the optimizer.
    """
    # Of a single row no deviation can be estimated.
    deviation = train.std(dim=0, correction=min(1, len(train) - 1))
    mean, scale = train.mean(dim=0), (deviation + 1e-6) * train.shape[1] ** 0.5
    train, test = (train - mean) / scale, (test - mean) / scale
    classes = int(max(train_labels.max(), labels.max())) + 1
    weight = torch.zeros(classes, train.shape[1] + 1, requires_grad=True)
    share = normalize(1 / torch.bincount(train_labels, minlength=classes).clamp(min=1).float(), p=1, dim=0)
    optimizer = torch.optim.LBFGS([weight], max_iter=steps, line_search_fn='strong_wolfe')

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = train @ weight[:, :-1].T + weight[:, -1]
        value = cross_entropy(logits, train_labels, weight=share) + decay / classes * weight[:, :-1].square().sum() / 2
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    with torch.no_grad():
        return balanced_accuracy((test @ weight[:, :-1].T + weight[:, -1]).argmax(dim=1), labels)
