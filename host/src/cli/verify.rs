//! `mag verify`: whether a store holds what it promises. Reads only, also beside a running mag.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{EXIT_USAGE, complain, load_config, print};
use crate::store::{self, Account, Noted};

/// Arguments of `mag verify`.
#[derive(Args, Clone, Debug)]
pub(super) struct VerifyArgs {
    /// The store; else `[store] path` of the config
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Verifies; exit status 0 when all is right, 1 when it is not or cannot be read, 2 for arguments and config.
pub(super) fn run(args: &VerifyArgs, config: Option<&Path>) -> ExitCode {
    let file = match &args.file {
        Some(file) => Some(file.clone()),
        None => match load_config(config) {
            Ok(config) => config.store.path,
            Err(error) => {
                complain(&error.to_string());
                return ExitCode::from(EXIT_USAGE);
            }
        },
    };
    let Some(file) = file else {
        complain("mag: the store is :memory:, there is no file to verify");
        return ExitCode::from(EXIT_USAGE);
    };
    let noted = Noted::beside(&file);
    let looked = store::look(&file, |reader| {
        let wrong = [noted.against(&file, reader)?, reader.verify()?].concat();
        Ok((reader.accounts()?, wrong))
    });
    match looked {
        Ok((accounts, wrong)) => {
            print(&report(&file, &accounts, &wrong));
            if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            complain(&format!("mag: {:#}", anyhow::Error::from(error)));
            ExitCode::FAILURE
        }
    }
}

fn report(file: &Path, accounts: &[Account], wrong: &[String]) -> String {
    let mut text = String::new();
    for account in accounts {
        let sender = if account.sender.is_empty() { "nobody" } else { &account.sender };
        let terms: Vec<_> = account.terms.iter().map(|(term, messages)| format!("{messages} {term}")).collect();
        let sum = terms.join(" + ");
        text.push_str(&format!("{} for {sender}: {} accepted = {sum}\n", account.route, account.accepted));
    }
    for sentence in wrong {
        text.push_str(&format!("wrong: {sentence}\n"));
    }
    let verdict = match wrong.len() {
        0 => "ok".to_owned(),
        1 => "1 thing is wrong".to_owned(),
        n => format!("{n} things are wrong"),
    };
    text.push_str(&format!("{}: {verdict}\n", file.display()));
    text
}
