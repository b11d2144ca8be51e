//! What is sold out, on disk: `ROOM.board`, replaced whole when something has changed since.

use std::fs;
use std::path::{Path, PathBuf};

use super::journal::replace;
use super::{StoreFault, cannot};
use crate::line::RoomName;
use crate::line::board::{Board, Reading};

/// One room's file; it is made when there is something to say.
#[derive(Debug)]
pub struct BoardFile {
    path: PathBuf,
    saved: Reading,
}

impl BoardFile {
    /// Opens a room's file and reads what it holds.
    pub fn open(folder: &Path, name: &RoomName) -> Result<(Self, Board), StoreFault> {
        let path = folder.join(format!("{name}.board"));
        let board: Board = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|e| {
                StoreFault::Corrupt(format!("{}: {e}; remove it, and nothing is sold out", path.display()))
            })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Board::default(),
            Err(e) => return Err(cannot("read", &path, &e)),
        };
        Ok((Self { path, saved: board.reading() }, board))
    }

    /// Writes the board if it has changed since it was last written.
    pub fn save(&mut self, board: &Board) -> Result<(), StoreFault> {
        if self.saved.change == board.reading().change {
            return Ok(());
        }
        let text = serde_json::to_vec(board).map_err(|e| StoreFault::Refused(e.to_string()))?;
        replace(&self.path, &text)?;
        self.saved = board.reading();
        Ok(())
    }
}
