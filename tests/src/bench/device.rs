//! The device: what a save costs, what an upload weighs, what opening reads.

use super::{Figure, bytes_read, number, own_cpu, workload::final_json};
use crate::{
    field::{Enumerator, Phone, interview_of},
    night::sync_all,
    survey::Survey,
};
use anyhow::{Context, Result};
use client_core::{Device, Edit};
use fixtures::Household;
use std::path::Path as File;
use sync_protocol::{
    Path, Place, Value,
    engine::device::{Action, DeviceStore, Event, Turn},
};

/// What one device costs and sends.
///
/// # Errors
/// If the server or the device fails.
pub async fn measure(folder: &File, figures: &mut Vec<Figure>) -> Result<()> {
    let survey = Survey::start_in(folder, 100, 2)?;
    let mut person = survey.device(0, "bench").await?;
    let households: Vec<Household> = survey.world.households().take(100).collect();
    for household in &households {
        person.register(household, household.id)?;
        if let Some(interview) = household.rounds.first() {
            person.interview(household.id, interview)?;
        }
    }
    wire(&mut person, &households, figures)?;
    let nights = sync_all(&survey.http, &mut [&mut person], 1_767_225_600_000).await?;
    let first = nights.first().context("a night")?;
    figures.push(Figure::at_most("night.round-trips", f64::from(first.report.round_trips), "round trips", Some(1.0)));
    let nothing = sync_all(&survey.http, &mut [&mut person], 1_767_225_600_000).await?;
    let nothing = nothing.first().context("a night")?;
    figures.push(Figure::at_most("night.nothing-new-up", number(nothing.traffic.up), "bytes", Some(400.0)));
    figures.push(Figure::at_most("night.nothing-new-down", number(nothing.traffic.down), "bytes", Some(400.0)));
    let household = households.first().context("a household")?;
    person.set(interview_of(household.id, 1), &"address".parse()?, &Value::text("Jl. Baru No. 7"))?;
    let one = sync_all(&survey.http, &mut [&mut person], 1_767_225_600_000).await?;
    let one = one.first().context("a night")?;
    let trips = f64::from(one.report.round_trips);
    figures.push(Figure::at_most("night.one-answer-round-trips", trips, "round trips", Some(1.0)));
    figures.push(Figure::at_most("night.one-answer-up", number(one.traffic.up), "bytes", Some(600.0)));
    save(&mut person, household, figures)?;
    drop(person);
    open(folder, figures)
}

/// The first upload against the final answers as plain JSON under zstd level 3.
fn wire(person: &mut Enumerator, households: &[Household], figures: &mut Vec<Figure>) -> Result<()> {
    let plain = zstd::bulk::compress(&final_json(households), 3)?;
    let mut turn = Turn::new("tenun/0.1.0");
    let Action::Send(body) = turn.step(&mut person.device, Event::Begin, 0)? else {
        anyhow::bail!("the device has nothing to send");
    };
    // It was not sent.
    person.device.sending(&[])?;
    let position = person.device.position()?;
    anyhow::ensure!(position.acked_through == 0, "this is not the first upload");
    let same_level = zstd::bulk::compress(&body, 3)?;
    let sent = client_core::transport::pack(&body)?;
    let count = |bytes: &[u8]| number(u64::try_from(bytes.len()).unwrap_or(0));
    figures.push(Figure::at_most("wire.first-upload", count(&sent) / count(&plain), "of plain JSON", Some(1.25)));
    figures.push(Figure::at_most(
        "wire.first-upload-level-3",
        count(&same_level) / count(&plain),
        "of plain JSON",
        None,
    ));
    figures.push(Figure::at_most("wire.bytes-a-household", count(&sent) / 100.0, "bytes", None));
    Ok(())
}

/// A save of 20 answers in a record that is full already.
fn save(person: &mut Enumerator, household: &Household, figures: &mut Vec<Figure>) -> Result<()> {
    let record = interview_of(household.id, 1);
    let names = [
        "floor_m2",
        "water_min",
        "fx_staple",
        "fx_protein",
        "fx_veg",
        "fx_other",
        "fx_tobacco",
        "nx_house",
        "nx_transport",
        "nx_misc",
        "ax_edu",
        "ax_health",
        "ax_cloth",
        "ax_social",
        "inc_other",
        "livestock",
        "fcs_staple",
        "fcs_pulse",
        "fcs_dairy",
        "fcs_veg",
    ];
    let (saves, before) = (200_u32, own_cpu());
    for round in 0..saves {
        let mut edits = Vec::new();
        for name in names {
            edits.push(Edit::Set(Path::new(Place::record(), name)?, Value::Integer(round.into())));
        }
        let who = person.code.clone();
        person.device.save(record, &who, &edits)?;
    }
    let each = (own_cpu() - before).as_secs_f64() * 1000.0 / f64::from(saves);
    figures.push(Figure::at_most("device.save-20-answers", each, "ms of CPU", Some(10.0)));
    Ok(())
}

/// Opening a database of 2,000 interviews and showing what is on the first screen.
fn open(folder: &File, figures: &mut Vec<Figure>) -> Result<()> {
    let folder = tempfile::tempdir_in(folder)?;
    let file = folder.path().join("big.sqlite");
    let world = fixtures::World::new(3, 2_000, 1);
    let mut device = Device::open(&file, Phone::new(1, 1_767_225_600_000, 0))?;
    let mut account = 0_usize;
    for household in world.households() {
        let mut person = Enumerator::unenrolled(device, &file, "KP001");
        person.register(&household, household.id)?;
        if let Some(interview) = household.rounds.first() {
            person.interview(household.id, interview)?;
        }
        account += person.account.len();
        device = person.device;
    }
    anyhow::ensure!(account > 100_000, "too few answers: {account}");
    drop(device);
    let size = std::fs::metadata(&file)?.len();
    let before = bytes_read();
    let mut device = Device::open(&file, Phone::new(1, 1_767_225_600_000, 0))?;
    let opened = bytes_read();
    let interviews = device.interviews()?.len();
    let status = device.status()?;
    let shown = bytes_read();
    anyhow::ensure!(interviews == 2_000 && status.interviews == 2_000, "the interviews are not all there");
    figures.push(Figure::at_most("device.open-reads", number(opened - before) / 1024.0, "KiB", Some(64.0)));
    figures.push(Figure::at_most(
        "device.first-screen-reads",
        number(shown - opened) / number(size),
        "of the file",
        None,
    ));
    Ok(())
}
