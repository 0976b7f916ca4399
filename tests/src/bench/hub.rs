//! A hub in a village: what 30 phones cost it, and what signatures cost.

use super::{Figure, number, timed};
use crate::{field::Enumerator, hub::Running, server::cpu_ms, survey::Survey};
use anyhow::{Context, Result};
use client_core::{HUB_SIZES, transport};
use std::path::Path as File;
use sync_protocol::{
    chain::{Batch, Signature},
    engine::device::{Action, DeviceStore, Event, Turn},
    wire::Request,
};

const PHONES: usize = 30;
const INTERVIEWS: usize = 20;

/// 30 phones with 20 interviews each sync with a hub, the hub with the server, and the phones with the hub again.
///
/// # Errors
/// If the server, the hub or a device fails.
pub async fn measure(folder: &File, figures: &mut Vec<Figure>) -> Result<()> {
    let survey = Survey::start_in(folder, u64::try_from(PHONES * INTERVIEWS)?, PHONES)?;
    let mut leader = survey.leader("KP900", "TIM-1", &(0..PHONES).collect::<Vec<_>>()).await?;
    let mut people = Vec::new();
    for person in 0..PHONES {
        people.push(survey.device(person, &format!("phone-{person}")).await?);
    }
    for home in survey.world.households() {
        let person = people.get_mut(home.enumerator).context("an enumerator")?;
        person.register(&home, home.id)?;
        person.interview(home.id, home.rounds.first().context("a round")?)?;
    }
    let signatures = signatures(&mut people, figures)?;
    let hub = Running::start(&leader.file)?;
    let cpu = |process: u32| cpu_ms(&process.to_string()).context("the CPU time of a process");
    for person in &mut people {
        survey.meet(person, &hub).await?;
    }
    let taken = cpu(hub.pid())?;
    let server = cpu(survey.server.pid())?;
    survey.sync(&mut leader).await?;
    let ingest = cpu(survey.server.pid())?.saturating_sub(server);
    for person in &mut people {
        survey.meet(person, &hub).await?;
        anyhow::ensure!(person.device.status()?.unsent == 0, "a phone has no receipt for all that it gave");
    }
    let all = cpu(hub.pid())?;
    figures.push(Figure::at_most("hub.taking-30-phones", number(taken) / 1000.0, "s of CPU", None));
    figures.push(Figure::at_most("hub.serving-30-phones", number(all) / 1000.0, "s of CPU", Some(5.0)));
    let share = signatures * 1000.0 / number(ingest.max(1));
    figures.push(Figure::at_most("hub.signatures-of-ingest", share, "of the server's CPU", Some(0.05)));
    Ok(())
}

/// What signatures weigh, a batch: by themselves, and more than what they make needless on the wire; the seconds that checking
/// those of all phones takes.
fn signatures(people: &mut [Enumerator], figures: &mut Vec<Figure>) -> Result<f64> {
    let (mut seconds, mut batches, mut weight, mut instead) = (0.0, 0_u64, 0.0, 0.0);
    for person in people {
        let key = person.device.position()?.key.public();
        let mut turn = Turn::with_sizes("tenun/0.1.0", HUB_SIZES);
        let Action::Send(body) = turn.step(&mut person.device, Event::Begin, 0)? else { continue };
        // It was not sent.
        person.device.sending(&[])?;
        let mut request = Request::from_bytes(&body).map_err(|problem| anyhow::anyhow!("{problem}"))?;
        let check = |batch: &Batch| batch.span().is_signed(&batch.signature, &key);
        let (are_right, time) = timed(|| request.batches.iter().all(check));
        anyhow::ensure!(are_right, "a phone's signature");
        seconds += time.as_secs_f64();
        batches += u64::try_from(request.batches.len())?;
        let with = transport::pack(&body)?.len();
        // Without a signature a batch would have to name the hash to which its changes lead.
        let unsigned = request.batches.iter().fold(String::from_utf8(body)?, |text, batch| {
            let (signature, after) = (batch.signature.to_string(), batch.after().to_string());
            text.replace(&format!(r#""signature":"{signature}""#), &format!(r#""after":"{after}""#))
        });
        let named = transport::pack(unsigned.as_bytes())?.len();
        instead += number(u64::try_from(with.saturating_sub(named))?);
        request.batches.iter_mut().for_each(|batch| batch.signature = Signature([0; 64]));
        let without = transport::pack(&request.to_bytes())?.len();
        weight += number(u64::try_from(with.saturating_sub(without))?);
    }
    let each = |bytes: f64| bytes / number(batches.max(1));
    figures.push(Figure::at_most("hub.signature-as-text", each(weight), "bytes a batch", None));
    figures.push(Figure::at_most("hub.signature-on-the-wire", each(instead), "bytes a batch more", Some(64.0)));
    Ok(seconds)
}
