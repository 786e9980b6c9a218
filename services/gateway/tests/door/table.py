"""Who may do what to one child's record, written by hand: role × route × relation → status. The oracle of the door.

The child lives in TOWN, its guardian is `mother`; `removed` was its guardian; `clinic` has consent in force, the consent
of `expired` ended yesterday, `other_clinic` never had one. Whereabouts are hidden from `cut_off`; `grandmother` has a grant
to plan, diary and growth, that of `uncle` ended yesterday; the record is lent to the town of `visited`, and a move back to that of `other_nurse`, where it lived before, was announced. Everybody else belongs to another family or town.
"""

PEOPLE = (
    "nobody",
    "mother",
    "other_mother",
    "removed",
    "cut_off",
    "grandmother",
    "uncle",
    "clinic",
    "expired",
    "other_clinic",
    "nurse",
    "other_nurse",
    "visited",
    "system",
    "other_system",
    "operator",
)

#                             nobody mother other removed cut_off granny uncle clinic expired other nurse other visited system other operator
FAMILY_CLINIC_TOWN = "        401  200  404  404  404  404  404  200  404  404  200  404  404  200  404  403"
FAMILY_CLINIC = "             401  200  404  404  404  404  404  200  404  404  403  403  403  403  403  403"
FAMILY_TOWN = "               401  200  404  404  404  404  404  403  403  403  200  404  404  200  404  403"
FAMILY = "                    401  200  404  404  404  404  404  403  403  403  403  403  403  403  403  403"
CLINIC_TOWN = "               401  403  403  403  403  403  403  200  404  404  200  404  404  200  404  403"
CLINIC = "                    401  403  403  403  403  403  403  200  404  404  403  403  403  403  403  403"
TOWN = "                      401  403  403  403  403  403  403  403  403  403  200  404  404  200  404  403"
STAFF = "                     401  403  403  403  403  403  403  403  403  403  200  404  404  403  403  403"

# What a guardian from whom whereabouts are hidden, a relative with a grant and a town with consent read as well.
RECORD = "                    401  200  404  404  200  200  404  200  404  404  200  404  200  200  404  403"
REMINDERS = "                 401  200  404  404  404  200  404  403  403  403  403  403  403  403  403  403"
DIARY = "                     401  200  404  404  404  200  404  403  403  403  403  403  403  403  403  403"
RECORDING = "                 401  200  404  404  404  404  404  200  404  404  200  404  200  200  404  403"
EXAMINING = "                 401  403  403  403  403  403  403  200  404  404  200  404  200  200  404  403"
ARRIVING = "                  401  403  403  403  403  403  403  403  403  403  404  200  404  404  200  403"
FORMER_TOWN = "               401  403  403  403  403  403  403  403  403  403  404  200  404  404  200  403"
EITHER_TOWN = "               401  403  403  403  403  403  403  403  403  403  200  200  404  200  200  403"
CONSENTED = "                 401  200  404  404  404  404  404  200  404  404  200  404  200  200  404  403"
GROWTH = "                    401  200  404  404  404  200  404  200  404  404  200  404  200  200  404  403"
FAMILY_STAFF = "              401  200  404  404  404  404  404  403  403  403  200  404  404  403  403  403"

# The owner decides whose it is: the door asks for the role only.
ANY_GUARDIAN = "              401  200  200  200  200  200  200  403  403  403  403  403  403  403  403  403"
ANY_GUARDIAN_CLINIC = "       401  200  200  200  200  200  200  200  200  200  403  403  403  403  403  403"
ANY_CLINIC = "                401  403  403  403  403  403  403  200  200  200  403  403  403  403  403  403"
ANY_STAFF = "                 401  403  403  403  403  403  403  403  403  403  200  200  200  403  403  403"
ANY_TOWN = "                  401  403  403  403  403  403  403  403  403  403  200  200  200  200  200  403"
ANY_GUARDIAN_TOWN = "         401  200  200  200  200  200  200  403  403  403  200  200  200  200  200  403"
ANY_STAFF_OPERATOR = "        401  403  403  403  403  403  403  403  403  403  200  200  200  403  403  200"
ANY_GUARDIAN_CLINIC_STAFF = " 401  200  200  200  200  200  200  200  200  200  200  200  200  403  403  403"
ANY_GUARDIAN_STAFF = "        401  200  200  200  200  200  200  403  403  403  200  200  200  403  403  403"
ANY_BUT_OPERATOR = "          401  200  200  200  200  200  200  200  200  200  200  200  200  200  200  403"
EVERYBODY = "                 401  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200"
OPERATOR = "                  401  403  403  403  403  403  403  403  403  403  403  403  403  403  403  200"
OPEN = "                      200  200  200  200  200  200  200  200  200  200  200  200  200  200  200  200"

EXPECTED: dict[str, str] = {
    "POST /v1/children": ANY_GUARDIAN_TOWN,
    "GET /v1/children": ANY_BUT_OPERATOR,
    "GET /v1/children/{child}": RECORD,
    "PUT /v1/children/{child}": FAMILY_TOWN,
    "POST /v1/children/{child}/doses": RECORDING,
    "PUT /v1/children/{child}/doses/{dose}": RECORDING,
    "POST /v1/children/{child}/doses/{dose}/retraction": RECORDING,
    "POST /v1/children/{child}/checkups": EXAMINING,
    "PUT /v1/children/{child}/checkups/{checkup}": EXAMINING,
    "POST /v1/children/{child}/checkups/{checkup}/retraction": EXAMINING,
    "POST /v1/children/{child}/growth": RECORDING,
    "PUT /v1/children/{child}/growth/{measurement}": RECORDING,
    "POST /v1/children/{child}/growth/{measurement}/retraction": RECORDING,
    "GET /v1/children/{child}/growth": GROWTH,
    "GET /v1/children/{child}/growth.svg": GROWTH,
    "POST /v1/children/{child}/conditions": RECORDING,
    "POST /v1/children/{child}/conditions/{condition}/retraction": RECORDING,
    "POST /v1/children/{child}/reactions": RECORDING,
    "PUT /v1/children/{child}/reactions/{reaction}": RECORDING,
    "POST /v1/children/{child}/reactions/{reaction}/retraction": RECORDING,
    "POST /v1/children/{child}/allergies": RECORDING,
    "POST /v1/children/{child}/allergies/{allergy}/retraction": RECORDING,
    "POST /v1/children/{child}/milestones": RECORDING,
    "POST /v1/children/{child}/milestones/{milestone}/retraction": RECORDING,
    "POST /v1/children/{child}/death": FAMILY_TOWN,
    "POST /v1/children/{child}/death/retraction": FAMILY_TOWN,
    "GET /v1/children/{child}/history": CONSENTED,
    "GET /v1/children/{child}/kept": FORMER_TOWN,
    "GET /v1/children/{child}/accesses": FAMILY,
    "POST /v1/children/{child}/guardian-codes": TOWN,
    "POST /v1/guardian-links": ANY_GUARDIAN,
    "GET /v1/children/{child}/family": FAMILY_STAFF,
    "POST /v1/children/{child}/invitations": FAMILY,
    "DELETE /v1/children/{child}/grants/{grant}": FAMILY,
    "POST /v1/children/{child}/guardians/{guardian}/removal": STAFF,
    "PUT /v1/children/{child}/cut-offs/{guardian}": STAFF,
    "DELETE /v1/children/{child}/cut-offs/{guardian}": STAFF,
    "PUT /v1/children/{child}/consents/{organisation}": FAMILY,
    "DELETE /v1/children/{child}/consents/{organisation}": FAMILY,
    "POST /v1/children/{child}/move": TOWN,
    "POST /v1/children/{child}/move/confirmation": ARRIVING,
    "POST /v1/children/{child}/move/cancellation": EITHER_TOWN,
    "GET /v1/municipalities/{code}/arrivals": STAFF,
    "GET /v1/municipalities/{code}/duplicates": STAFF,
    "POST /v1/municipalities/{code}/duplicates/{pair}/dismissal": STAFF,
    "POST /v1/children/{child}/merges": STAFF,
    "POST /v1/children/{child}/merges/{other}/undo": STAFF,
    "POST /v1/children/{child}/stays": FAMILY,
    "POST /v1/children/{child}/stays/{stay}/end": FAMILY,
    "GET /v1/children/{child}/handbook": FAMILY_STAFF,
    "GET /v1/handbook-keys": EVERYBODY,
    "POST /v1/children/{child}/diary": FAMILY,
    "GET /v1/children/{child}/diary": DIARY,
    "GET /v1/children/{child}/diary/{entry}": DIARY,
    "PUT /v1/children/{child}/diary/{entry}": FAMILY,
    "DELETE /v1/children/{child}/diary/{entry}": FAMILY,
    "POST /v1/children/{child}/diary/{entry}/photos": FAMILY,
    "GET /v1/children/{child}/diary/{entry}/photos/{photo}": DIARY,
    "DELETE /v1/children/{child}/diary/{entry}/photos/{photo}": FAMILY,
    "POST /v1/pregnancies": ANY_GUARDIAN_TOWN,
    "GET /v1/pregnancies": ANY_BUT_OPERATOR,
    "GET /v1/pregnancies/{pregnancy}": ANY_BUT_OPERATOR,
    "POST /v1/pregnancies/{pregnancy}/confirmation": ANY_TOWN,
    "POST /v1/pregnancies/{pregnancy}/move": ANY_GUARDIAN_TOWN,
    "POST /v1/pregnancies/{pregnancy}/move/cancellation": ANY_GUARDIAN_TOWN,
    "PUT /v1/pregnancies/{pregnancy}/consents/{organisation}": ANY_GUARDIAN,
    "DELETE /v1/pregnancies/{pregnancy}/consents/{organisation}": ANY_GUARDIAN,
    "POST /v1/pregnancies/{pregnancy}/expected-delivery": ANY_GUARDIAN_TOWN,
    "POST /v1/pregnancies/{pregnancy}/checkups": ANY_BUT_OPERATOR,
    "POST /v1/pregnancies/{pregnancy}/doses": ANY_BUT_OPERATOR,
    "POST /v1/pregnancies/{pregnancy}/outcome": ANY_GUARDIAN_TOWN,
    "POST /v1/pregnancies/{pregnancy}/checkups/{checkup}/correction": ANY_BUT_OPERATOR,
    "POST /v1/pregnancies/{pregnancy}/checkups/{checkup}/retraction": ANY_BUT_OPERATOR,
    "POST /v1/pregnancies/{pregnancy}/doses/{dose}/correction": ANY_BUT_OPERATOR,
    "POST /v1/pregnancies/{pregnancy}/doses/{dose}/retraction": ANY_BUT_OPERATOR,
    "POST /v1/pregnancies/{pregnancy}/outcome/retraction": ANY_GUARDIAN_TOWN,
    "GET /v1/pregnancies/{pregnancy}/plan": ANY_GUARDIAN_TOWN,
    "GET /v1/children/{child}/plan": RECORD,
    "GET /v1/children/{child}/catch-up": RECORD,
    "GET /v1/children/{child}/reminders": REMINDERS,
    "POST /v1/pre-checks": CLINIC,
    "GET /v1/municipalities/{code}/not-yet": STAFF,
    "GET /v1/municipalities/{code}/coverage": STAFF,
    "PUT /v1/municipalities/{code}/follow-ups/{follow_up}": STAFF,
    "POST /v1/municipalities/{code}/imports": STAFF,
    "GET /v1/municipalities/{code}/imports": STAFF,
    "GET /v1/municipalities/{code}/imports/{batch}": STAFF,
    "GET /v1/municipalities/{code}/imports/{batch}/rows": STAFF,
    "POST /v1/municipalities/{code}/imports/{batch}/undo": STAFF,
    "POST /v1/lot-recalls": ANY_STAFF_OPERATOR,
    "GET /v1/forms": EVERYBODY,
    "GET /v1/forms/{form}": EVERYBODY,
    "POST /v1/responses": FAMILY_CLINIC,
    "GET /v1/responses/{response}": ANY_GUARDIAN_CLINIC,
    "PUT /v1/responses/{response}": ANY_GUARDIAN_CLINIC,
    "POST /v1/responses/{response}/submission": ANY_GUARDIAN_CLINIC,
    "POST /v1/responses/{response}/withdrawal": ANY_GUARDIAN,
    "POST /v1/responses/{response}/decision": ANY_CLINIC,
    "GET /v1/children/{child}/responses": FAMILY_CLINIC,
    "POST /v1/announcements/preview": ANY_TOWN,
    "POST /v1/announcements": ANY_TOWN,
    "GET /v1/announcements": ANY_TOWN,
    "POST /v1/attachments": ANY_TOWN,
    "GET /v1/announcements/{announcement}": ANY_STAFF,
    "POST /v1/announcements/{announcement}/approval": ANY_STAFF,
    "POST /v1/announcements/{announcement}/break-glass": ANY_STAFF,
    "GET /v1/announcements/{announcement}/attachments/{attachment}": ANY_GUARDIAN_STAFF,
    "PUT /v1/announcements/{announcement}": ANY_STAFF,
    "POST /v1/announcements/{announcement}/recall": ANY_STAFF,
    "GET /v1/announcements/{announcement}/deliveries": ANY_STAFF,
    "GET /v1/inbox": ANY_GUARDIAN,
    "POST /v1/inbox/{item}/read": ANY_GUARDIAN,
    "GET /v1/push-key": ANY_GUARDIAN,
    "PUT /v1/push-subscriptions/{subscription}": ANY_GUARDIAN,
    "DELETE /v1/push-subscriptions/{subscription}": ANY_GUARDIAN,
    "POST /v1/inbox/{item}/safety": ANY_GUARDIAN,
    "POST /v1/announcements/{announcement}/safety": ANY_STAFF,
    "GET /v1/announcements/{announcement}/safety": ANY_STAFF,
    "PUT /v1/municipalities/{code}/shelters/{shelter}": STAFF,
    "GET /v1/municipalities/{code}/shelters": EVERYBODY,
    "PUT /v1/municipalities/{code}/duty-roster": STAFF,
    "GET /v1/municipalities/{code}/duty-roster": STAFF,
    "POST /v1/alarms": ANY_TOWN,
    "GET /v1/alarms": ANY_TOWN,
    "POST /v1/alarms/{alarm}/acknowledgement": ANY_STAFF,
    "GET /v1/municipalities/{code}/places": EVERYBODY,
    "PUT /v1/municipalities/{code}/places/{place}": STAFF,
    "DELETE /v1/municipalities/{code}/places/{place}": STAFF,
    "GET /v1/training": ANY_STAFF,
    "POST /v1/training/{course}/completions": ANY_STAFF,
    "GET /v1/municipalities/{code}/training": STAFF,
    "GET /v1/library": EVERYBODY,
    "GET /v1/library/{article}": EVERYBODY,
    "POST /v1/calendar-feed": ANY_GUARDIAN,
    "DELETE /v1/calendar-feed": ANY_GUARDIAN,
    "GET /v1/calendars/{feed}": OPEN,
    "GET /v1/announcements/{announcement}/board": ANY_STAFF,
    "GET /v1/announcements/{announcement}/call-list": ANY_STAFF,
    "PUT /v1/announcements/{announcement}/calls/{recipient}": ANY_STAFF,
    "POST /v1/announcements/{announcement}/deliveries/repeat": ANY_STAFF,
    "GET /v1/contacts": ANY_GUARDIAN,
    "PUT /v1/contacts/{contact}": ANY_GUARDIAN,
    "POST /v1/contacts/{contact}/proof": ANY_GUARDIAN,
    "DELETE /v1/contacts/{contact}": ANY_GUARDIAN,
    "GET /v1/preferences": ANY_GUARDIAN,
    "PUT /v1/preferences": ANY_GUARDIAN,
    "GET /v1/unsubscriptions/{token}": OPEN,
    "POST /v1/unsubscriptions/{token}": OPEN,
    "PUT /v1/devices/{device}": ANY_GUARDIAN,
    "DELETE /v1/devices/{device}": ANY_GUARDIAN,
    "GET /v1/events": ANY_GUARDIAN_CLINIC_STAFF,
    "POST /v1/municipalities": OPERATOR,
    "POST /v1/clinics": OPERATOR,
    "POST /v1/staff": OPERATOR,
    "POST /v1/municipalities/{code}/credentials": OPERATOR,
    "POST /v1/clinics/{clinic}/credentials": OPERATOR,
    "GET /v1/municipalities": EVERYBODY,
    "GET /v1/clinics": EVERYBODY,
    "GET /fhir/R4/metadata": OPEN,
    "GET /fhir/R4/Patient/{child}": CONSENTED,
    "GET /fhir/R4/Patient": ANY_BUT_OPERATOR,
    "GET /fhir/R4/Immunization/{immunization}": ANY_BUT_OPERATOR,
    "GET /fhir/R4/Immunization": CONSENTED,
    "GET /fhir/R4/ImmunizationRecommendation": CONSENTED,
    "GET /fhir/R4/Observation": CONSENTED,
    "GET /openapi.json": OPEN,
    "GET /docs": OPEN,
    "GET /docs/{file}": OPEN,
    "GET /.well-known/jwks.json": OPEN,
    "GET /internal/events": OPEN,
    "GET /internal/heads": OPEN,
    "POST /dev/token": OPEN,
    "PUT /dev/clock": OPEN,
}


def expected() -> list[tuple[str, str, int]]:
    """(route, person, status), one for each cell."""
    return [
        (route, person, int(status))
        for route, line in EXPECTED.items()
        for person, status in zip(PEOPLE, line.split(), strict=True)
    ]
