//! Pictures of a record: how four costs grow, ours and the peers' in one frame.
//!
//! A picture is made of rows whose cases differ in one number only; that number is where a point lies. The same record makes
//! the same bytes.

mod chart;

mod pick;

mod pictures;

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::report::Record;

/// Draws what the record has rows for into the folder, and says which files were written.
pub(crate) fn draw(record: &Record, folder: &Path) -> Outcome {
    fs::create_dir_all(folder)?;
    for picture in pictures::all(record) {
        let file = folder.join(picture.file);
        match picture.chart.svg()? {
            Some(svg) => {
                fs::write(&file, svg)?;
                println!("{}", file.display());
            }
            None => println!("{}: not drawn, the record has no rows for it", file.display()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
