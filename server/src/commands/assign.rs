//! Who works where: areas and households by round, and leaders of teams.

use super::open;
use anyhow::Result;
use clap::{Args, Subcommand};
use server::{
    domain::Failure,
    store::{self, Tx},
};
use std::path::PathBuf;
use sync_protocol::{Code, HouseholdId};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Assign areas to an enumerator in a round; their devices see these from the next sync on.
    Assign(Work),
    /// Take areas from an enumerator in a round; their devices drop them once nothing of them is unsent.
    Unassign(Work),
    /// Make an enumerator the leader of the team in areas: they see all that is inside, and who has not synced.
    Lead(Team),
    /// End that an enumerator leads the team in areas.
    Unlead(Team),
}

#[derive(Args)]
pub(super) struct Work {
    /// The data directory.
    #[arg(long)]
    data: PathBuf,
    /// The enumerator's code.
    enumerator: String,
    /// The round.
    #[arg(long, default_value = "1")]
    round: String,
    /// A household that comes first in the enumerator's work, by its id; may be given more than once. It is seen only with
    /// its area.
    #[arg(long)]
    household: Vec<HouseholdId>,
    /// The codes of the areas.
    #[arg(required_unless_present = "household")]
    areas: Vec<String>,
}

#[derive(Args)]
pub(super) struct Team {
    /// The data directory.
    #[arg(long)]
    data: PathBuf,
    /// The leader's code as an enumerator.
    enumerator: String,
    /// The codes of the areas, of any level.
    #[arg(required = true)]
    areas: Vec<String>,
}

/// Runs the command that was given.
pub(super) fn run(command: Command) -> Result<()> {
    match command {
        Command::Assign(work) => {
            let Work { enumerator, round, household, .. } = &work;
            change(&work.data, enumerator, |tx| {
                for area in &work.areas {
                    if !tx.assign(enumerator, area, round)? {
                        return Err(unknown_area(area));
                    }
                }
                household.iter().try_for_each(|id| Ok(tx.assign_household(enumerator, *id, round)?))
            })?;
            println!("{enumerator}: {} areas, {} households in round {round}", work.areas.len(), household.len());
        }
        Command::Unassign(work) => {
            let Work { enumerator, round, household, .. } = &work;
            change(&work.data, enumerator, |tx| {
                for area in &work.areas {
                    if !tx.unassign(enumerator, area, round)? {
                        return Err(not_theirs(enumerator, area));
                    }
                }
                for id in household {
                    if !tx.unassign_household(enumerator, *id, round)? {
                        return Err(not_theirs(enumerator, &id.to_string()));
                    }
                }
                Ok(())
            })?;
            println!("{enumerator}: {} areas, {} households fewer in round {round}", work.areas.len(), household.len());
        }
        Command::Lead(Team { data, enumerator, areas }) => {
            change(&data, &enumerator, |tx| {
                areas.iter().try_for_each(
                    |area| {
                        if tx.lead(&enumerator, area)? { Ok(()) } else { Err(unknown_area(area)) }
                    },
                )
            })?;
            println!("{enumerator} leads {}", areas.join(", "));
        }
        Command::Unlead(Team { data, enumerator, areas }) => {
            change(&data, &enumerator, |tx| {
                areas.iter().try_for_each(|area| {
                    if tx.unlead(&enumerator, area)? { Ok(()) } else { Err(not_theirs(&enumerator, area)) }
                })
            })?;
            println!("{enumerator} leads {} no more", areas.join(", "));
        }
    }
    Ok(())
}

/// All of it or nothing.
fn change(data: &std::path::Path, enumerator: &str, work: impl FnOnce(Tx<'_>) -> Result<(), Failure>) -> Result<()> {
    let mut conn = open(data)?;
    Ok(store::in_transaction(&mut conn, |tx| {
        if !tx.has_enumerator(enumerator)? {
            return Err(Failure::problem(Code::NotFound, format!("no enumerator `{enumerator}`: add them first")));
        }
        work(tx)
    })?)
}

fn unknown_area(area: &str) -> Failure {
    Failure::problem(Code::UnknownArea, format!("no area `{area}`: load it first"))
}

fn not_theirs(enumerator: &str, what: &str) -> Failure {
    Failure::problem(Code::NotFound, format!("{what} is not assigned to {enumerator} there"))
}
