"""What changed between two versions of the constitution, by content hash."""

import hashlib
from dataclasses import dataclass

from conscience.constitution.document import Constitution, Principle, Probe


@dataclass(frozen=True)
class Change:
    """Ids on one side or the other, or on both with different content."""

    added: tuple[str, ...]
    """Only in the new version."""
    removed: tuple[str, ...]
    """Only in the old version."""
    changed: tuple[str, ...]
    """In both, with another hash."""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True)
class Revision:
    """The difference between two versions."""

    texts: Change
    """Principles by their text: what the teacher reads. If it changed, pairs and checkpoints made with it are stale."""
    probes: Change
    """Probes: what the `principles` task asks. If they changed, its logs and the reports built on them are stale."""
    precedence: Change
    """Rows of the precedence table."""


def diff(old: Constitution, new: Constitution) -> Revision:
    """Compare two versions."""
    return Revision(
        texts=_change({p.id: _text(p) for p in old.principles}, {p.id: _text(p) for p in new.principles}),
        probes=_change(_probes(old), _probes(new)),
        precedence=_change(*({row.id: row.model_dump_json() for row in c.precedence} for c in (old, new))),
    )


def probe_hash(probe: Probe) -> str:
    """SHA-256 of a probe's content; 64 hex digits."""
    return hashlib.sha256(probe.model_dump_json().encode()).hexdigest()


def _text(principle: Principle) -> str:
    return hashlib.sha256(f"{principle.title}\n{principle.text}".encode()).hexdigest()


def _probes(constitution: Constitution) -> dict[str, str]:
    return {probe.id: probe_hash(probe) for principle in constitution.principles for probe in principle.probes}


def _change(old: dict[str, str], new: dict[str, str]) -> Change:
    return Change(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(id for id in old.keys() & new.keys() if old[id] != new[id])),
    )
