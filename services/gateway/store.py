"""Documents <-> domain objects; the only file that names the gateway's collections.

Views (rebuilt from the owners' history): `children` (except its `feeds` and stream heads), `access` (derived from it),
`plans`. Primary (never rebuilt): `directory`, `audit`, `audit_chains`, `sessions`.
"""

from services.gateway.domain import child_view
from shared.documents import Document
from shared.ids import derived_id
from shared.store import Doc
from shared.views import Derived

CHILDREN = "children"
ACCESS = "access"
PLANS = "plans"
DIRECTORY = "directory"
AUDIT = "audit"
AUDIT_CHAINS = "audit_chains"
SESSIONS = "sessions"


# Who may find which child -----------------------------------------------------------------------------------------


def access_rows(doc: Document) -> dict[str, Doc]:
    """One row for each reader of a child: `guardian:<id>`, `clinic:<id>`, `municipality:<code>`, with its last day."""
    return {
        derived_id("access", reader, doc.id): {"reader": reader, "child": doc.id, "until": until}
        for reader, until in child_view.readers(doc.state).items()
    }


CHILD_DERIVED = (Derived(ACCESS, access_rows, (("reader", "child"),)),)
