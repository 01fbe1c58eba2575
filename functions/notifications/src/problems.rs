//! The problems that only the WebSocket answers with.

use domain::Text;
use runtime::Code;

/// A ticket that is unknown, used, or too old: which, nobody learns.
pub static TICKET_INVALID: Code = Code {
    code: "ticket_invalid",
    status: 401,
    title: Text::fixed(
        "El ticket no es válido, ya se usó o ha caducado",
        "The ticket is not valid, was used before, or has expired",
    ),
};

/// A version of the protocol that is not spoken here.
pub static PROTOCOL_UNKNOWN: Code = Code {
    code: "protocol_unknown",
    status: 400,
    title: Text::fixed(
        "Esta versión del protocolo no existe",
        "There is no such version of the protocol",
    ),
};

/// An `action` that does not exist.
pub static ACTION_UNKNOWN: Code = Code {
    code: "action_unknown",
    status: 400,
    title: Text::fixed("Esta acción no existe", "There is no such action"),
};

/// A text that is longer than a message may be.
pub static MESSAGE_TOO_LARGE: Code = Code {
    code: "message_too_large",
    status: 413,
    title: Text::fixed("El mensaje es demasiado grande", "The message is too large"),
};
