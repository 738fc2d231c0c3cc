//! The JSON lexer as a table: what one byte does in one state.
//!
//! The reader (`stream.rs`) walks this table and hands *symbols* to the signature automaton: the
//! unescaped bytes of strings, between a symbol that tells the string's role and one that closes
//! it. White space, numbers, literals and punctuation become nothing at all, so key order, spacing
//! and escapes cannot hide a word, and a word outside its role means nothing.
//!
//! Messages stand at the top of the stream one after another; a batch array around them, commas,
//! white space, a byte order mark and NUL padding between them are skipped. Any other byte there
//! ends inspection: it opens no message that a mining pool would read. The grammar is RFC 8259's,
//! read leniently: what is illegal must not lose the reader's place.
//!
//! A capital letter there opens the head of an HTTP message (RFC 9112), or the one line of a PROXY
//! preamble: its lines are strings too, in lower case and without white space. What follows a head
//! is not the lexer's to say: it stops at [`FRAMED`] and leaves that to `frame.rs`.

/// Opens what an HTTP request's first line says behind its method, or a status line behind its version.
pub const REQUEST: u8 = 0xf6;
/// Stands between two lines of an HTTP head: closes the one and opens the other.
pub const HEAD: u8 = 0xf7;
/// Opens the string that is a member's value in an object.
pub const VALUE: u8 = 0xf8;
/// Opens a key at depth 1; `KEY + 1` at depth 2, `KEY + 2` at depth 3 and below.
pub const KEY: u8 = 0xf9;
/// Opens a string that is an element of an array at depth 2; `ELEMENT + 1` below that.
pub const ELEMENT: u8 = 0xfd;
/// A message or a head begins: takes the automaton to one state, whichever it was in.
pub const BEGIN: u8 = 0xfc;
/// Closes a string.
pub const END: u8 = 0xff;
/// Stands for a byte in a string that no pattern can name (control characters, non-ASCII escapes).
pub const UNNAMED: u8 = 0x01;
/// Feeds nothing: its class leaves the automaton where it is.
pub const SILENT: u8 = 0x00;

/// Classes of bytes: the columns of the table.
pub const CLASSES: usize = 16;
const OTHER: u8 = 0;
const SPACE: u8 = 1;
const NEWLINE: u8 = 2;
const QUOTE: u8 = 3;
const BACKSLASH: u8 = 4;
const BRACE_OPEN: u8 = 5;
const BRACE_CLOSE: u8 = 6;
const BRACKET_OPEN: u8 = 7;
const BRACKET_CLOSE: u8 = 8;
const COLON: u8 = 9;
const COMMA: u8 = 10;
const ESCAPE_LETTER: u8 = 11;
const LETTER_U: u8 = 12;
const PADDING: u8 = 13;
const CONTROL: u8 = 14;
const CAPITAL: u8 = 15;

/// States: the rows of the table.
pub const STATES: usize = 64;
/// Inspection of this direction has ended.
pub const STOPPED: u8 = 0;
/// At the top of the stream, where a message may begin.
pub const BETWEEN: u8 = 1;
/// Place lost (bytes were not seen): waits for the end of a line.
pub const RESYNC: u8 = 2;
/// At a line's start after the place was lost.
pub const RESYNC_LINE: u8 = 3;
/// In an object, before a key.
pub const OBJECT_KEY: u8 = 4;
const OBJECT_COLON: u8 = 5;
const OBJECT_VALUE: u8 = 6;
/// In an object, behind a value.
pub const OBJECT_AFTER: u8 = 7;
/// In an array.
pub const ARRAY: u8 = 8;
const KEY_STRING: u8 = 9;
const VALUE_STRING: u8 = 15;
const ELEMENT_STRING: u8 = 21;
/// Below `KIND_DEPTH` containers, where only brackets and strings matter.
pub const DEEP: u8 = 27;
const DEEP_STRING: u8 = 28;
const DEEP_ESCAPE: u8 = 29;
/// In the first word of an HTTP head: what a method is called nobody asks, but other streams begin
/// with a word in capitals too.
const HEAD_METHOD: u8 = 30;
const REQUEST_LINE: u8 = 31;
/// Behind the first line; a message may begin here too, since PROXY's preamble is one line only.
const HEAD_FIRST: u8 = 32;
const HEAD_LINE: u8 = 33;
const HEAD_START: u8 = 34;
/// The same two for a head that follows another one, where no preamble can be any more.
const NEXT_METHOD: u8 = 35;
const NEXT_REQUEST: u8 = 36;
/// Behind a head, where a body may begin with a message.
pub const BODY: u8 = 37;
/// A head has ended: what the bytes are now is for `frame.rs` to say.
pub const FRAMED: u8 = 38;

/// What a table cell asks for besides the next state and a symbol.
pub mod action {
    /// Nothing more.
    pub const NONE: u64 = 0;
    /// A message begins: depth 1, message tokens forgotten.
    pub const MESSAGE: u64 = 1;
    /// An object opens.
    pub const PUSH_OBJECT: u64 = 2;
    /// An array opens.
    pub const PUSH_ARRAY: u64 = 3;
    /// A container closes.
    pub const POP: u64 = 4;
    /// A hexadecimal digit of a `\u` escape.
    pub const HEX: u64 = 5;
    /// The last one: the character is complete.
    pub const HEX_LAST: u64 = 6;
    /// A container opens below `KIND_DEPTH`.
    pub const PUSH_DEEP: u64 = 7;
    /// A container closes below `KIND_DEPTH`.
    pub const POP_DEEP: u64 = 8;
    /// The head of an HTTP message begins: message tokens forgotten.
    pub const HEAD: u64 = 9;
    /// The same behind another head: the inspection budget may end reading here.
    pub const NEXT_HEAD: u64 = 10;
    /// The head ends.
    pub const HEAD_END: u64 = 11;
}

/// One cell, packed: bits 0..6 next state, 6..8 mask of the level, 8..16 mask of the raw byte (or,
/// with an action, of the escaped character), 16..24 constant part of the symbol, 24..28 action,
/// 28 a message begins.
#[derive(Clone, Copy)]
pub struct Cell(pub u64);

impl Cell {
    const fn to(next: u8) -> Self {
        Self(next as u64)
    }
    const fn symbol(self, symbol: u8) -> Self {
        Self(self.0 | (symbol as u64) << 16)
    }
    const fn plus_level(self) -> Self {
        Self(self.0 | 3 << 6)
    }
    const fn raw(self) -> Self {
        Self(self.0 | 0xff << 8)
    }
    /// The byte in lower case: bit 5 is taken out and added again, bit 7 is dropped.
    const fn folded(self) -> Self {
        Self(self.0 | 0x5f << 8 | 0x20 << 16)
    }
    const fn action(self, action: u64) -> Self {
        Self(self.0 | action << 24)
    }
    const fn message() -> Self {
        Self::to(OBJECT_KEY).action(action::MESSAGE).symbol(BEGIN).with_reset()
    }
    const fn with_reset(self) -> Self {
        Self(self.0 | 1 << 28)
    }
    /// The cell for a byte in a state.
    #[inline(always)]
    #[expect(
        clippy::indexing_slicing,
        reason = "256 classes for a byte; the cell's index is masked"
    )]
    #[must_use]
    pub fn at(state: u64, byte: u8) -> Self {
        let class = BYTE_CLASS[usize::from(byte)];
        let index = state as usize * CLASSES + usize::from(class);
        Self(u64::from(TABLE[index & (TABLE.len() - 1)]))
    }
    /// The state after this byte, unless an action decides it.
    #[inline(always)]
    #[must_use]
    pub const fn next(self) -> u64 {
        self.0 & 63
    }
    /// One of [`action`].
    #[inline(always)]
    #[must_use]
    pub const fn get_action(self) -> u64 {
        self.0 >> 24 & 15
    }
    /// Whether the cell asks for more than a state and a symbol.
    #[inline(always)]
    #[must_use]
    pub const fn is_slow(self) -> bool {
        self.0 >> 24 != 0
    }
    /// All ones, or zero where a message begins: a mask for what belongs to one message.
    #[inline(always)]
    #[must_use]
    pub const fn keeps_message(self) -> u64 {
        (self.0 >> 28 & 1).wrapping_sub(1)
    }
    /// The symbol this byte feeds, given the byte (or the escaped character) and the level.
    #[inline(always)]
    #[must_use]
    pub const fn get_symbol(self, byte: u64, level: u64) -> usize {
        ((self.0 >> 16).wrapping_add(byte & self.0 >> 8).wrapping_add(level & self.0 >> 6 & 3)
            & 0xff) as usize
    }
}

/// The class of every byte.
pub static BYTE_CLASS: [u8; 256] = byte_classes();
/// The table: row `state`, column `class`.
pub static TABLE: [u32; STATES * CLASSES] = table();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn byte_classes() -> [u8; 256] {
    let mut classes = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = class_of(byte as u8);
        byte += 1;
    }
    classes
}

const fn class_of(byte: u8) -> u8 {
    match byte {
        b' ' | b'\t' | b'\r' => SPACE,
        b'\n' => NEWLINE,
        b'"' => QUOTE,
        b'\\' => BACKSLASH,
        b'{' => BRACE_OPEN,
        b'}' => BRACE_CLOSE,
        b'[' => BRACKET_OPEN,
        b']' => BRACKET_CLOSE,
        b':' => COLON,
        b',' => COMMA,
        b'b' | b'f' | b'n' | b'r' | b't' => ESCAPE_LETTER,
        b'u' => LETTER_U,
        // NUL padding, and the three bytes of a UTF-8 byte order mark.
        0x00 | 0xef | 0xbb | 0xbf => PADDING,
        0x01..=0x1f | REQUEST..=END => CONTROL,
        b'A'..=b'Z' => CAPITAL,
        _ => OTHER,
    }
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn table() -> [u32; STATES * CLASSES] {
    let mut cells = [0u32; STATES * CLASSES];
    let mut state = 0;
    while state < STATES {
        let mut class = 0;
        while class < CLASSES {
            cells[state * CLASSES + class] = cell(state as u8, class as u8).0 as u32;
            class += 1;
        }
        state += 1;
    }
    cells
}

const fn cell(state: u8, class: u8) -> Cell {
    match state {
        BETWEEN if class == CAPITAL => {
            Cell::to(HEAD_METHOD).action(action::HEAD).symbol(BEGIN).with_reset()
        }
        BETWEEN => between(class, STOPPED, BETWEEN),
        RESYNC if class == NEWLINE => Cell::to(RESYNC_LINE),
        RESYNC => Cell::to(RESYNC),
        RESYNC_LINE => between(class, RESYNC, RESYNC_LINE),
        OBJECT_KEY..=ARRAY => structure(state, class),
        KEY_STRING..VALUE_STRING => string(KEY_STRING, state, class, OBJECT_COLON),
        VALUE_STRING..ELEMENT_STRING => string(VALUE_STRING, state, class, OBJECT_AFTER),
        ELEMENT_STRING..DEEP => string(ELEMENT_STRING, state, class, ARRAY),
        DEEP..=DEEP_ESCAPE => deep(state, class),
        HEAD_METHOD..=NEXT_REQUEST => head(state, class),
        BODY if class == CAPITAL => {
            Cell::to(NEXT_METHOD).action(action::NEXT_HEAD).symbol(BEGIN).with_reset()
        }
        BODY => between(class, STOPPED, BODY),
        _ => Cell::to(STOPPED),
    }
}

const fn between(class: u8, otherwise: u8, stay: u8) -> Cell {
    match class {
        SPACE | NEWLINE | PADDING | BRACKET_OPEN | BRACKET_CLOSE | COMMA => Cell::to(stay),
        BRACE_OPEN => Cell::message(),
        _ => Cell::to(otherwise),
    }
}

const fn structure(state: u8, class: u8) -> Cell {
    match (state, class) {
        (_, BRACE_CLOSE | BRACKET_CLOSE) => Cell::to(OBJECT_AFTER).action(action::POP),
        (OBJECT_KEY, QUOTE) => Cell::to(KEY_STRING).symbol(KEY - 1).plus_level(),
        // No container can be a key: whoever sends `{` here begins anew, and a pool that reads
        // line by line would take what follows as a message of its own.
        (OBJECT_KEY, BRACE_OPEN) => Cell::message(),
        (OBJECT_COLON, COLON) => Cell::to(OBJECT_VALUE),
        (OBJECT_COLON | OBJECT_VALUE | OBJECT_AFTER, COMMA) => Cell::to(OBJECT_KEY),
        (OBJECT_VALUE, QUOTE) => Cell::to(VALUE_STRING).symbol(VALUE),
        (ARRAY, QUOTE) => Cell::to(ELEMENT_STRING).symbol(ELEMENT - 2).plus_level(),
        (OBJECT_COLON | OBJECT_AFTER, QUOTE) => Cell::to(VALUE_STRING),
        (OBJECT_VALUE | ARRAY, BRACE_OPEN) => Cell::to(OBJECT_KEY).action(action::PUSH_OBJECT),
        (OBJECT_VALUE | ARRAY, BRACKET_OPEN) => Cell::to(ARRAY).action(action::PUSH_ARRAY),
        (OBJECT_VALUE, OTHER | ESCAPE_LETTER | LETTER_U) => Cell::to(OBJECT_AFTER),
        _ => Cell::to(state),
    }
}

/// Strings of one role are six rows: inside, behind a backslash, and the four digits of `\u`.
const fn string(inside: u8, state: u8, class: u8, after: u8) -> Cell {
    match (state - inside, class) {
        // A raw line end is illegal in a string: the line is broken, the next one stands alone.
        (_, NEWLINE) => Cell::to(BETWEEN),
        (0, QUOTE) | (2..=5, QUOTE) => Cell::to(after).symbol(END),
        (0, BACKSLASH) => Cell::to(inside + 1),
        (0, CONTROL | PADDING) => Cell::to(inside).symbol(UNNAMED),
        (0, _) => Cell::to(inside).raw(),
        (1, LETTER_U) => Cell::to(inside + 2),
        (1, ESCAPE_LETTER | CONTROL | PADDING) => Cell::to(inside).symbol(UNNAMED),
        (1, _) => Cell::to(inside).raw(),
        (5, _) => Cell::to(inside).action(action::HEX_LAST).raw(),
        (_, _) => Cell::to(state + 1).action(action::HEX),
    }
}

/// HTTP's lines. White space feeds nothing: `Upgrade: websocket` is `upgrade:websocket`.
const fn head(state: u8, class: u8) -> Cell {
    match (state, class) {
        (HEAD_FIRST | HEAD_START, NEWLINE) => Cell::to(FRAMED).action(action::HEAD_END),
        (HEAD_METHOD | REQUEST_LINE, NEWLINE) => Cell::to(HEAD_FIRST).symbol(HEAD),
        (_, NEWLINE) => Cell::to(HEAD_START).symbol(HEAD),
        (HEAD_METHOD, SPACE) => Cell::to(REQUEST_LINE).symbol(REQUEST),
        (NEXT_METHOD, SPACE) => Cell::to(NEXT_REQUEST).symbol(REQUEST),
        (HEAD_FIRST, BRACE_OPEN) => Cell::message(),
        (NEXT_METHOD, _) | (_, SPACE) => Cell::to(state),
        (HEAD_FIRST | HEAD_START, CONTROL | PADDING) => Cell::to(HEAD_LINE).symbol(UNNAMED),
        (HEAD_FIRST | HEAD_START, _) => Cell::to(HEAD_LINE).folded(),
        (_, CONTROL | PADDING) => Cell::to(state).symbol(UNNAMED),
        (_, _) => Cell::to(state).folded(),
    }
}

const fn deep(state: u8, class: u8) -> Cell {
    match (state, class) {
        (DEEP, QUOTE) => Cell::to(DEEP_STRING),
        (DEEP, BRACE_OPEN | BRACKET_OPEN) => Cell::to(DEEP).action(action::PUSH_DEEP),
        (DEEP, BRACE_CLOSE | BRACKET_CLOSE) => Cell::to(DEEP).action(action::POP_DEEP),
        (DEEP_STRING, BACKSLASH) => Cell::to(DEEP_ESCAPE),
        (DEEP_STRING, QUOTE) => Cell::to(DEEP),
        (DEEP_STRING, NEWLINE) | (DEEP_ESCAPE, NEWLINE) => Cell::to(BETWEEN),
        (DEEP_ESCAPE, _) => Cell::to(DEEP_STRING),
        _ => Cell::to(state),
    }
}

/// Whether these first payload bytes can open a JSON message. Padding alone cannot tell yet, so it
/// passes; a payload of fewer than four bytes is filled up with spaces.
#[inline(always)]
#[must_use]
pub fn can_open_message(first: [u8; 4]) -> bool {
    for byte in first {
        let cell = Cell::at(BETWEEN as u64, byte);
        match cell.get_action() {
            action::MESSAGE => return true,
            action::HEAD => return false,
            _ => {}
        }
        if cell.next() == STOPPED as u64 {
            return false;
        }
    }
    true
}

/// Whether payload of which [`can_open_message`] holds may begin with this byte.
pub(crate) const fn can_begin_message(byte: u8) -> bool {
    let cell = cell(BETWEEN, class_of(byte));
    cell.get_action() != action::HEAD && cell.next() != STOPPED as u64
}

const _: () = assert!((FRAMED as usize) < STATES);
