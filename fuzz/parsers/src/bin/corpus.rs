//! `corpus unpack NAME FOLDER` writes what is kept of a parser into a folder, a file an input; `corpus keep NAME FOLDER`
//! keeps what is in a folder.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

use mag_parsers::{Parser, corpus};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [command, name, folder] = arguments.as_slice() else { return Err("unpack|keep NAME FOLDER".into()) };
    let folder = Path::new(folder);
    match command.as_str() {
        "unpack" => {
            fs::create_dir_all(folder)?;
            for (number, input) in corpus::read(name)?.into_iter().enumerate() {
                fs::write(folder.join(format!("kept-{number:05}")), input)?;
            }
            Ok(())
        }
        "keep" => {
            let malformed = corpus::keep(Parser::named(name), corpus::files(folder)?)?;
            writeln!(std::io::stdout(), "{name}: {malformed} malformed inputs are kept")?;
            Ok(())
        }
        other => Err(format!("{other}: not a command").into()),
    }
}
