"""The configuration of a node: one TOML file, read once, frozen; unknown keys are refused and all faults said
at once.

`read_config` is the way in. `model` has the settings, `checks` what must fit together, `lines` where each key
stands.
"""

from node.config.faults import ConfigFaults, Fault
from node.config.model import (
    AccessSection,
    Address,
    Config,
    DialectSection,
    ExchangeSection,
    KeysSection,
    LimitsSection,
    ListenSection,
    LoginSection,
    LogSection,
    NodeSection,
    Pkcs11Section,
    PublicSection,
    StoreSection,
    TrustSection,
)
from node.config.read import read_config

__all__ = [
    "AccessSection",
    "Address",
    "Config",
    "ConfigFaults",
    "DialectSection",
    "ExchangeSection",
    "Fault",
    "KeysSection",
    "LimitsSection",
    "ListenSection",
    "LogSection",
    "LoginSection",
    "NodeSection",
    "Pkcs11Section",
    "PublicSection",
    "StoreSection",
    "TrustSection",
    "read_config",
]
