//! What a command says to whoever has called it.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};

/// Prints a line on standard output, as `println!` does. Whoever has closed the pipe, such as `head`, has read enough: that
/// is no fault of the command.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {
        $crate::say_line(format_args!($($words)*))
    };
}

/// Prints a line on standard output; see [`say!`](crate::say).
pub fn say_line(line: Arguments<'_>) {
    match writeln!(std::io::stdout(), "{line}") {
        Err(fault) if fault.kind() != ErrorKind::BrokenPipe => eprintln!("cannot write to standard output: {fault}"),
        _ => {}
    }
}
