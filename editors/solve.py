"""The least-squares solve that MEMIT and AlphaEdit share, and what they put into it.

d is the MLP's width, o the hidden width, n the number of edits, m of keys remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from editors.base import EditError
from editors.moments import Moment
from editors.spectrum import spectrum

ThresholdRule = Literal["absolute", "relative", "energy"]
"""Which eigenvalues of the second moment count as none. `absolute`: those under the threshold, as
in the paper. `relative`: those under the threshold times the largest. `energy`: the smallest ones
that together hold at most the threshold's share of the trace. The last two suit models whose keys
are on another scale."""

THRESHOLD_RULES: tuple[str, ...] = get_args(ThresholdRule)


class Precision(Protocol):
    """M^-1, where M (d, d) says how much each direction of the keys should be left alone."""

    def apply(self, keys: Tensor) -> Tensor:
        """M^-1 times a matrix of shape (d, any), in float64."""
        ...


@dataclass(frozen=True)
class Past:
    """Keys that are remembered.

    Attributes:
        keys: K_p, shape (d, m), float64.
        applied: M^-1 K_p, which every solve needs again, shape (d, m).
    """

    keys: Tensor
    applied: Tensor

    @classmethod
    def of(cls, keys: Tensor, precision: Precision) -> Past:
        """Keys and what the precision makes of them."""
        keys = wide(keys)
        return cls(keys, precision.apply(keys))

    def to(self, device: torch.device) -> Past:
        """The same on another device."""
        return Past(self.keys.to(device), self.applied.to(device))


def solve(keys: Tensor, residual: Tensor, past: Past | None, precision: Precision) -> Tensor:
    """The update that moves keys by residuals, and past keys not at all, at the least cost.

    Δ minimises |ΔK - R|^2 + |ΔK_p|^2 + tr(Δ M Δ^T), whose normal equations are
    Δ (M + K K^T + K_p K_p^T) = R K^T. With A = [K, K_p] this is [R, 0] (I + A^T S)^-1 S^T where
    S = M^-1 A: a system as large as the number of keys, instead of d.

    Args:
        keys: K, shape (d, n).
        residual: R, shape (o, n).
        past: What is remembered, or None.
        precision: M^-1.

    Returns:
        Δ, shape (o, d), float64.

    Raises:
        EditError: If the system cannot be solved or holds numbers that are not finite.
    """
    keys = wide(keys)
    residual = wide(residual).to(keys.device)  # with a device map, of another layer's device
    a, s = keys, precision.apply(keys)
    if past is not None:
        past = past.to(keys.device)
        a, s = torch.cat([a, past.keys], dim=1), torch.cat([s, past.applied], dim=1)
    if not bool(torch.isfinite(residual).all()):
        raise _unsolvable()
    return residual @ _directions(a.t() @ s, s)[: keys.shape[1]]


def solve_apart(keys: Tensor, owners: Tensor, precision: Precision) -> Tensor:
    """What `solve` finds for each of several groups of keys alone, up to the residuals.

    The update of a group is R D, with R (o, n) its residuals and D (n, d) its rows of what is
    returned. Between groups the system holds zeros, so that one solve serves all.

    Args:
        keys: K of all groups, shape (d, n).
        owners: The group of each key, shape (n,).
        precision: M^-1.

    Returns:
        D of all groups, shape (n, d), float64. A group's rows are NaN where its keys are not
        finite.

    Raises:
        EditError: If the system cannot be solved.
    """
    keys = wide(keys)
    owners = owners.to(keys.device)
    s = precision.apply(keys)
    same = owners[:, None] == owners
    sick = ~torch.isfinite(keys).all(0) | ~torch.isfinite(s).all(0)
    sick = (same & sick).any(1)
    gram = torch.where(same & ~sick, keys.t() @ s, 0)
    return torch.where(sick[:, None], torch.nan, _directions(gram, s.masked_fill(sick, 0)))


def _directions(gram: Tensor, applied: Tensor) -> Tensor:
    """(I + A^T S)^-1 S^T, shape (n, d), from A^T S (n, n) and S = M^-1 A (d, n)."""
    system = torch.eye(len(gram), dtype=gram.dtype, device=gram.device) + gram
    factor, failed = torch.linalg.cholesky_ex((system + system.t()) / 2)
    # A Cholesky factor of NaN may pass for one.
    if int(failed) or not bool(torch.isfinite(factor).all()):
        raise _unsolvable()
    return torch.cholesky_solve(applied.t().contiguous(), factor)


def _unsolvable() -> EditError:
    return EditError("the update cannot be solved for: keys or moments are not finite numbers")


def remember(past: Past | None, keys: Tensor, precision: Precision) -> Past:
    """Keys with the same K K^T as all keys so far, never more than d of them.

    Args:
        past: What was remembered, or None.
        keys: What comes to it, shape (d, n).
        precision: M^-1.
    """
    new = Past.of(keys, precision)
    if past is None:
        both = new
    else:
        past = past.to(new.keys.device)
        both = Past(
            torch.cat([past.keys, new.keys], dim=1), torch.cat([past.applied, new.applied], dim=1)
        )
    if both.keys.shape[1] <= both.keys.shape[0]:
        return both
    # A^T = Q T, so A A^T = T^T T.
    return Past.of(torch.linalg.qr(both.keys.t(), mode="r").R.t().contiguous(), precision)


@dataclass(frozen=True)
class MomentPrecision:
    """(λ C)^-1, MEMIT's.

    Attributes:
        factor: The Cholesky factor of C, shape (d, d), float64, kept in main memory.
        weight: λ.
    """

    factor: Tensor
    weight: float

    @classmethod
    def of(cls, moment: Moment, weight: float) -> MomentPrecision:
        """Factor a second moment.

        Directions that a corpus never used make it singular, and sums in float32 can make it
        indefinite; then the smallest of some multiples of the mean eigenvalue that helps is added
        to its diagonal.

        Raises:
            EditError: If nothing helps, as with numbers that are not finite.
        """
        matrix = wide(moment.matrix)
        mean = matrix.diagonal().mean()
        for share in (0.0, 1e-10, 1e-8, 1e-6, 1e-4):
            factor, failed = torch.linalg.cholesky_ex(
                matrix
                + share * mean * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
            )
            if not int(failed) and bool(torch.isfinite(factor).all()):
                return cls(factor.cpu(), weight)
        raise EditError("the second moment of the keys cannot be inverted")

    def apply(self, keys: Tensor) -> Tensor:
        """(λ C)^-1 times keys."""
        return torch.cholesky_solve(keys, self.factor.to(keys.device)) / self.weight


@dataclass(frozen=True)
class NullSpace:
    """P / λ, AlphaEdit's, where P projects onto what the corpus does not use.

    Attributes:
        used: V, orthonormal columns that span the rest, shape (d, r), kept in main memory;
            P = I - V V^T.
        weight: λ.
    """

    used: Tensor
    weight: float

    @classmethod
    def of(
        cls,
        moment: Moment,
        weight: float,
        threshold: float,
        rule: ThresholdRule,
        *,
        cache: Path | None = None,
    ) -> NullSpace:
        """Split the space of keys by the eigenvalues of a second moment.

        Args:
            moment: The moment.
            weight: λ.
            threshold: Which eigenvalues count as none.
            rule: What the threshold is compared with.
            cache: The folder in which eigenvectors are kept; None if they are not.

        Raises:
            EditError: If the moment holds numbers that are not finite.
        """
        if not bool(torch.isfinite(moment.matrix).all()):
            raise EditError("the second moment of the keys holds numbers that are not finite")
        if cache is not None:
            found = spectrum(moment.matrix, cache)
            values, vectors = found.values, found.vectors
        else:
            values, vectors = torch.linalg.eigh(wide(moment.matrix))  # ascending
        if rule == "energy":
            null = values.clamp(min=0).cumsum(0) <= threshold * values.clamp(min=0).sum()
        else:
            null = values < threshold * (values[-1] if rule == "relative" else 1)
        return cls(vectors[:, ~null].contiguous().cpu(), weight)

    def apply(self, keys: Tensor) -> Tensor:
        """P keys / λ."""
        return self.project(keys) / self.weight

    def project(self, keys: Tensor) -> Tensor:
        """P keys, in float64."""
        keys = wide(keys)
        used = self.used.to(keys.device)
        return keys - used @ (used.t() @ keys)

    def share(self, past: Past) -> float:
        """|P K|^2 / |K|^2: how much of the keys' energy lies in the null space."""
        # P is a projection, so |P K|^2 = tr(K^T P K).
        return float(self.weight * (past.keys * past.applied).sum() / past.keys.square().sum())


def wide(tensor: Tensor) -> Tensor:
    """A tensor in float64, on the processor where its own device has none."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()
