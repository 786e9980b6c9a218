"""The errors that reach a person: a small tree, each with its status, its stable type and its words in two languages (RFC 9457)."""

from dataclasses import dataclass
from typing import Any, ClassVar

TYPE_BASE = "https://hagukumi.example/problems/"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One broken rule at one place: JSON Pointer, stable code, words in Japanese and English. Never the input itself."""

    pointer: str
    code: str
    ja: str
    en: str

    def render(self, language: str) -> dict[str, str]:
        """As `errors[]` of problem+json carries it."""
        return {"pointer": self.pointer, "code": self.code, "detail": self.ja if language == "ja" else self.en}


class Problem(Exception):
    """What went wrong, in words for a person; subclasses say status, type and text."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    ja: ClassVar[str] = "処理できませんでした。時間をおいて同じ操作をもう一度行ってください。"
    en: ClassVar[str] = "This could not be done. Please repeat the same request later."

    def __init__(
        self, detail: str | None = None, *, errors: tuple[FieldProblem, ...] = (), headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail or self.en)
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}

    def body(self, language: str, trace_id: str = "") -> dict[str, Any]:
        """problem+json in `ja` or `en`."""
        rendered: dict[str, Any] = {
            "type": TYPE_BASE + self.code,
            "title": self.ja if language == "ja" else self.en,
            "status": self.status,
        }
        if self.detail:
            rendered["detail"] = self.detail
        if self.errors:
            rendered["errors"] = [error.render(language) for error in self.errors]
        if trace_id:
            rendered["trace_id"] = trace_id
        return rendered


class Invalid(Problem):
    """A field breaks a rule."""

    status = 422
    code = "invalid"
    ja = "入力に誤りがあります。"
    en = "The input breaks a rule."


def invalid(pointer: str, code: str, ja: str, en: str) -> Invalid:
    """One broken rule at one place."""
    return Invalid(errors=(FieldProblem(pointer, code, ja, en),))


class Malformed(Problem):
    """The body is not what its content type says."""

    status = 400
    code = "malformed"
    ja = "リクエストの形式が正しくありません。"
    en = "The request is malformed."


class Unauthenticated(Problem):
    """No valid token."""

    status = 401
    code = "unauthenticated"
    ja = "ログインが必要です。"
    en = "Please sign in."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Problem):
    """The role may not do this at all. Never used to say that a thing exists."""

    status = 403
    code = "forbidden"
    ja = "この操作は許可されていません。"
    en = "This is not permitted."


class NotFound(Problem):
    """Not there, or not yours: the same answer."""

    status = 404
    code = "not-found"
    ja = "見つかりません。"
    en = "Not found."


class MethodNotAllowed(Problem):
    """This path has no such method."""

    status = 405
    code = "method-not-allowed"
    ja = "この操作には対応していません。"
    en = "This method is not allowed here."


class Conflict(Problem):
    """Somebody else changed it at the same time, or it exists already."""

    status = 409
    code = "conflict"
    ja = "同時に変更されたため完了できませんでした。最新の内容を確認してください。"
    en = "It was changed at the same time. Please look at its present state."


class InProgress(Problem):
    """The same request is being worked on."""

    status = 409
    code = "in-progress"
    ja = "同じリクエストを処理中です。"
    en = "The same request is in progress."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class PreconditionFailed(Problem):
    """If-Match names another version."""

    status = 412
    code = "precondition-failed"
    ja = "内容が更新されています。最新の内容を読み直してください。"
    en = "It has changed since you read it. Please read it again."


class PreconditionRequired(Problem):
    """If-Match is missing."""

    status = 428
    code = "precondition-required"
    ja = "If-Match ヘッダーが必要です。"
    en = "If-Match is required."


class TooLarge(Problem):
    """The body is larger than its bound."""

    status = 413
    code = "too-large"
    ja = "データが大きすぎます。"
    en = "The data is too large."


class UnsupportedMedia(Problem):
    """The body's type is not accepted here."""

    status = 415
    code = "unsupported-media-type"
    ja = "この形式のデータは受け付けられません。"
    en = "This media type is not accepted."


class KeyReused(Problem):
    """The Idempotency-Key was used with another body."""

    status = 422
    code = "idempotency-key-reused"
    ja = "同じ Idempotency-Key が別の内容で使われています。"
    en = "This Idempotency-Key was used with another body."


class KeyRequired(Problem):
    """A creating POST needs an Idempotency-Key."""

    status = 400
    code = "idempotency-key-required"
    ja = "Idempotency-Key ヘッダーが必要です。"
    en = "Idempotency-Key is required."


class TooMany(Problem):
    """Too many requests."""

    status = 429
    code = "too-many-requests"
    ja = "リクエストが多すぎます。しばらくしてからやり直してください。"
    en = "Too many requests. Please wait."


class Busy(Problem):
    """Not now: the outbox is full, or the store or another service cannot be reached. Safe to repeat."""

    status = 503
    code = "busy"
    ja = "ただいま処理できません。同じ操作をもう一度行ってください。"
    en = "Not possible right now. It is safe to repeat the same request."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


def language_of(accept_language: str) -> str:
    """`en` when English is asked for before Japanese, else `ja`."""
    for part in accept_language.lower().split(","):
        tag = part.split(";", 1)[0].strip()
        if tag.startswith("ja"):
            return "ja"
        if tag.startswith("en"):
            return "en"
    return "ja"


def pointer_of(location: tuple[int | str, ...]) -> str:
    """The JSON Pointer (RFC 6901) of a pydantic error location."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


_PYDANTIC_JA = {
    "missing": "必須項目です。",
    "extra_forbidden": "未知の項目です。",
    "date_from_datetime_parsing": "日付の形式が正しくありません (YYYY-MM-DD)。",
    "date_parsing": "日付の形式が正しくありません (YYYY-MM-DD)。",
    "date_from_datetime_inexact": "日付の形式が正しくありません (YYYY-MM-DD)。",
    "date_type": "日付の形式が正しくありません (YYYY-MM-DD)。",
    "int_type": "整数を入力してください。",
    "int_parsing": "整数を入力してください。",
    "string_type": "文字列を入力してください。",
    "string_too_long": "長すぎます。",
    "string_too_short": "短すぎます。",
    "string_pattern_mismatch": "形式が正しくありません。",
    "literal_error": "選択肢にない値です。",
    "enum": "選択肢にない値です。",
    "greater_than_equal": "値が小さすぎます。",
    "less_than_equal": "値が大きすぎます。",
    "json_invalid": "JSON として読めません。",
}


def field_problems(errors: list[dict[str, Any]], *, skip: int = 0) -> tuple[FieldProblem, ...]:
    """Pydantic's errors as field problems; the input they quote is left out."""
    return tuple(
        FieldProblem(
            pointer_of(tuple(error["loc"])[skip:]),
            str(error["type"]).replace("_", "-"),
            _PYDANTIC_JA.get(str(error["type"]), "値が正しくありません。"),
            _english(error),
        )
        for error in errors
    )


def _english(error: dict[str, Any]) -> str:
    """Pydantic's sentence, unless it could quote the input (value errors written by hand may)."""
    kind = str(error["type"])
    if kind in {"value_error", "assertion_error", "json_invalid"}:
        return "The value breaks a rule."
    return str(error["msg"])
