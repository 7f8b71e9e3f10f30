"""The people and enterprises of the four provinces, found by number without holding any of them in memory.

Resident `i` of a province is a pure function of (seed, province, i), and the way back from a citizen number,
a credit code or a certificate id is a computation too, so a million residents cost what one costs. A registry
of province P holds the papers that lie in P, whoever's they are: people are born in Anhui, work in Shanghai
and got their driving licence in Zhejiang. Everything is synthetic and marked so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from mapping.identifiers import CERTIFICATE_ID_ROOT
from simulators.divisions import PROVINCES
from simulators.numbers import Numbers, SubjectKind, home_of_serial
from simulators.papers import Paper, papers_of_organisation, papers_of_resident
from simulators.people import Organisation, Resident, meet_organisation, meet_resident

__all__ = ["DEFAULT_RESIDENTS", "DEFAULT_SEED", "Population"]

DEFAULT_RESIDENTS = 1_000
DEFAULT_SEED = 20261101
_RESIDENTS_PER_ORGANISATION = 10


@cache
def _numbers(seed: int, province: str) -> Numbers:
    return Numbers(seed, province)


@dataclass(frozen=True, slots=True)
class Population:
    """`residents` people in each of the four provinces, and one enterprise for every ten of them."""

    seed: int = DEFAULT_SEED
    residents: int = DEFAULT_RESIDENTS

    @property
    def organisations(self) -> int:
        """How many enterprises each province has; at least one."""
        return max(1, self.residents // _RESIDENTS_PER_ORGANISATION)

    def resident(self, home: str, index: int) -> Resident:
        """Resident `index` of a home province. Raises ValueError outside ``range(residents)``."""
        if not 0 <= index < self.residents:
            raise ValueError(f"resident {index} is not in range({self.residents})")
        return meet_resident(_numbers(self.seed, home), index)

    def organisation(self, home: str, index: int) -> Organisation:
        """Enterprise `index` of a home province. Raises ValueError outside ``range(organisations)``."""
        if not 0 <= index < self.organisations:
            raise ValueError(f"organisation {index} is not in range({self.organisations})")
        return meet_organisation(_numbers(self.seed, home), index)

    def find_holder(self, holder_id_type: str, holder_id: str) -> Resident | Organisation | None:
        """Who has that number, by its shared holder id type (111 or 001); None when nobody has."""
        if holder_id_type == "111" and holder_id[:2] + "0000" in PROVINCES:
            home = holder_id[:2] + "0000"
            index = _numbers(self.seed, home).resident_index(holder_id)
            return None if index is None or index >= self.residents else self.resident(home, index)
        if holder_id_type == "001" and holder_id[2:4] + "0000" in PROVINCES:
            home = holder_id[2:4] + "0000"
            index = _numbers(self.seed, home).organisation_index(holder_id)
            return None if index is None or index >= self.organisations else self.organisation(home, index)
        return None

    def papers_of(self, holder: Resident | Organisation) -> Iterator[Paper]:
        """All certificates of a holder, in whichever province they lie."""
        numbers = _numbers(self.seed, holder.home)
        if isinstance(holder, Organisation):
            return papers_of_organisation(numbers, holder)
        spouse = None if holder.spouse is None else meet_resident(numbers, holder.spouse)
        return papers_of_resident(numbers, holder, spouse)

    def papers_in(
        self, province: str, holder_id_type: str, holder_id: str, certificate_type: str = ""
    ) -> tuple[Paper, ...]:
        """The certificates of a holder that lie in a province: all, or those of one shared type."""
        holder = self.find_holder(holder_id_type, holder_id)
        if holder is None:
            return ()
        return tuple(
            paper
            for paper in self.papers_of(holder)
            if paper.province == province and certificate_type in ("", paper.certificate_type)
        )

    def paper_in(self, province: str, certificate_id: str) -> Paper | None:
        """The certificate with that id when it lies in the province."""
        holder = self._holder_of_paper(certificate_id)
        if holder is None:
            return None
        for paper in self.papers_of(holder):
            if paper.certificate_id == certificate_id and paper.province == province:
                return paper
        return None

    def _holder_of_paper(self, certificate_id: str) -> Resident | Organisation | None:
        parts = certificate_id.removeprefix(CERTIFICATE_ID_ROOT).split(".")
        home = home_of_serial(parts[2]) if len(parts) == 5 else None
        if home is None:
            return None
        serial = parts[2]
        index = _numbers(self.seed, home).serial_index(serial)
        if serial[0] == SubjectKind.PERSON and index < self.residents:
            return self.resident(home, index)
        if serial[0] == SubjectKind.ORGANISATION and index < self.organisations:
            return self.organisation(home, index)
        return None
