"""Makes Cognito's codes and mails real.

The emulator issues the same code to everybody (123456, or 654321 for a password), which no test of "a wrong
code is refused" can live with, and it asks the CustomMessage trigger only for invitations, so that the mails
of sign-up, resend and forgotten password would come out in one language.
"""

import contextvars
import secrets

from ministack.services import cognito

from . import guard

_call: contextvars.ContextVar[tuple[str, dict]] = contextvars.ContextVar("cognito_call")


def _issue(pool: dict, username: str, attribute: str) -> str:
    """A fresh six-digit code, kept where the confirmation will look for it."""
    code = f"{secrets.randbelow(1_000_000):06d}"
    user, _error = cognito._resolve_user(pool, username)
    if user is not None:
        user["_reset_code" if attribute == "password" else "_confirmation_code"] = code
    return code


def _custom(pool: dict, username: str, attributes: dict) -> dict:
    trigger, data = _call.get(("CustomMessage_ForgotPassword", {}))
    user, _error = cognito._resolve_user(pool, username)
    name = user["Username"] if user else username
    return cognito._apply_custom_message_trigger(pool, trigger, name, attributes, data.get("ClientMetadata"))


def _sending(original):
    def send(pool, username, attr_dict, code, attribute_name="email"):
        to = (attr_dict or {}).get("email")
        if not to:
            return None
        code = _issue(pool, username, attribute_name)
        custom = _custom(pool, username, attr_dict)
        if not custom.get("emailMessage"):
            return original(pool, username, attr_dict, code, attribute_name)
        subject, _body = cognito._resolve_verification_template(pool)
        display = cognito._template_username(pool, username, attr_dict)
        return cognito._deliver_cognito_email(
            pool, to,
            cognito._expand_template(custom.get("emailSubject") or subject, display, code),
            cognito._expand_template(custom["emailMessage"], display, code),
            type_name="CognitoVerificationMessage",
            extra={"Username": username, "AttributeName": attribute_name},
        )

    return send


def _triggering(trigger: str):
    """Remembers which trigger a call stands for; a trigger that fails fails the call, as on AWS."""

    def make(original):
        def handle(data):
            token = _call.set((trigger, data))
            try:
                return original(data)
            except (cognito._CustomMessageRejected, cognito._CustomMessageInvalid) as error:
                return cognito._custom_message_error(error)
            finally:
                _call.reset(token)

        return handle

    return make


def apply() -> None:
    guard.rely(
        cognito, "_resolve_user", "_apply_custom_message_trigger", "_resolve_verification_template",
        "_template_username", "_expand_template", "_deliver_cognito_email", "_custom_message_error",
    )
    guard.replace(cognito, "_send_verification_email", "bceed599b45c", _sending)
    guard.replace(cognito, "_sign_up", "7c18b40cc080", _triggering("CustomMessage_SignUp"))
    guard.replace(cognito, "_resend_confirmation_code", "4a657342dd8d", _triggering("CustomMessage_ResendCode"))
    guard.replace(cognito, "_forgot_password", "2c3b97e277d5", _triggering("CustomMessage_ForgotPassword"))
