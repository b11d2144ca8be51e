//! Reads what the scripts answer.

use redis::Value;

use crate::line::StoreFault;

/// An array in an answer, read from its front.
pub struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    /// Takes an array.
    pub fn of(value: Value) -> Result<Self, StoreFault> {
        match value {
            Value::Array(items) => Ok(Self(items.into_iter())),
            _ => Err(corrupt("an answer is no array")),
        }
    }

    /// Takes the next item.
    pub fn next(&mut self) -> Result<Value, StoreFault> {
        self.0.next().ok_or_else(|| corrupt("an answer is too short"))
    }

    /// Takes a nested array.
    pub fn array(&mut self) -> Result<Self, StoreFault> {
        Self::of(self.next()?)
    }

    /// Takes a string of bytes.
    pub fn bytes(&mut self) -> Result<Vec<u8>, StoreFault> {
        match self.next()? {
            Value::BulkString(bytes) => Ok(bytes),
            Value::Int(number) => Ok(number.to_string().into_bytes()),
            _ => Err(corrupt("an answer is no string")),
        }
    }

    /// Takes a text.
    pub fn text(&mut self) -> Result<String, StoreFault> {
        String::from_utf8(self.bytes()?).map_err(|_| corrupt("an answer is no UTF-8"))
    }

    /// Takes a number.
    pub fn number(&mut self) -> Result<u64, StoreFault> {
        let text = self.text()?;
        text.parse().map_err(|_| corrupt(&format!("`{text}` is no number")))
    }

    /// Takes all that is left, as texts.
    pub fn texts(mut self) -> Result<Vec<String>, StoreFault> {
        (0..self.0.len()).map(|_| self.text()).collect()
    }
}

/// Makes the fault of a store that holds something strange.
pub fn corrupt(what: &str) -> StoreFault {
    StoreFault::Corrupt(what.to_owned())
}
