"""Features: statistics are taken on the training part, the transform is a pure function after."""

from jgd.features.categories import Categories, one_hot
from jgd.features.monomials import Monomials, interactions, polynomial
from jgd.features.ngrams import NGrams, hashing
from jgd.features.scaling import Range, Standardization, minmax, standardize
from jgd.features.tokens import Vocabulary, tokenize
from jgd.features.whitening import Whitening, whiten

__all__ = [
    "Categories",
    "Monomials",
    "NGrams",
    "Range",
    "Standardization",
    "Vocabulary",
    "Whitening",
    "hashing",
    "interactions",
    "minmax",
    "one_hot",
    "polynomial",
    "standardize",
    "tokenize",
    "whiten",
]
