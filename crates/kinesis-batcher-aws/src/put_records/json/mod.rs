//! `application/x-amz-json-1.1`, which every SDK and every emulator speaks. Data is in base64.

mod body;
mod escape;
mod scanner;

pub(super) use body::body;
pub(super) use escape::write_escaped;
pub(super) use scanner::Scanner;

pub(super) const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
