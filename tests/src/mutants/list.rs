//! The mutations: each breaks one law on purpose, in the way somebody might by mistake.

use super::{Edit, Mutant, Test};

const INGEST: &str = "server/src/domain/ingest.rs";
const SHARED: &str = "server/src/domain/ingest/shared.rs";
const LOG: &str = "server/src/domain/ingest/log.rs";
const BACKUP: &str = "server/src/domain/backup.rs";
const BACKUPS: &str = "server/src/store/backups.rs";
const ABSORB: &str = "client-core/src/device/sync.rs";
const CAPTURE: &str = "client-core/src/device/capture.rs";
const RECORD: &str = "sync-protocol/src/record.rs";
const CHAIN: &str = "sync-protocol/src/chain.rs";
const PEER: &str = "client-core/src/device/peer.rs";
const HUB: &str = "client-core/src/device/hub.rs";

/// Every mutation.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "ack-before-commit",
        law: "L1",
        why: "The senders are told before the commit; the pause only makes the moment long enough to be killed in.",
        edits: &[Edit {
            file: "server/src/writer.rs",
            old: "    Ok(transaction.commit()?)\n}",
            new: "    for task in group.drain(..) {
        task.answer(true);
    }
    std::thread::sleep(std::time::Duration::from_millis(20));
    Ok(transaction.commit()?)\n}",
        }],
        test: Test::Process("killed", "every_ack"),
        says: "panicked at tests/tests/killed.rs",
    },
    Mutant {
        name: "ack-without-commit",
        law: "L1",
        why: "The transaction ends without a commit, and nobody notices while the server runs.",
        edits: &[Edit {
            file: "server/src/writer.rs",
            old: "    Ok(transaction.commit()?)\n}",
            new: "    drop(transaction);\n    Ok(())\n}",
        }],
        test: Test::Process("round_trip", "a_batch_past_a_gap"),
        says: "FAILED",
    },
    Mutant {
        name: "commit-not-synced",
        law: "L1",
        why: "The server's commits reach the operating system; a power cut takes them back. A killed server never shows it.",
        edits: &[Edit {
            file: "server/src/store.rs",
            old: "conn.pragma_update(None, \"synchronous\", \"FULL\")?;",
            new: "conn.pragma_update(None, \"synchronous\", \"NORMAL\")?;",
        }],
        test: Test::Process("powerloss", "every_ack"),
        says: "after the power was cut",
    },
    Mutant {
        name: "save-not-synced",
        law: "L1",
        why: "The device's saves reach the operating system, and a battery that falls out takes them back.",
        edits: &[Edit {
            file: "client-core/src/store.rs",
            old: "conn.pragma_update(None, \"synchronous\", \"FULL\")?;",
            new: "conn.pragma_update(None, \"synchronous\", \"NORMAL\")?;",
        }],
        test: Test::Process("powerloss", "every_save"),
        says: "saves were told",
    },
    Mutant {
        name: "gap-acked",
        law: "L1",
        why: "A batch past a gap is kept; the changes before it are acked, too.",
        edits: &[
            Edit {
                file: SHARED,
                old: "Intake::Parked { missing } => missing.saturating_sub(1),",
                new: "Intake::Parked { .. } => last,",
            },
            Edit {
                file: SHARED,
                old: "if sent_everything && !self.forked { head } else { through.min(head) }",
                new: "if sent_everything && !self.forked { head.max(through) } else { through }",
            },
        ],
        test: Test::Simulator,
        says: "law L",
    },
    Mutant {
        name: "ack-of-another-life",
        law: "L1",
        why: "A device hears how far its replica's history goes, not how far its own was received.",
        edits: &[Edit {
            file: SHARED,
            old: "if sent_everything && !self.forked { head } else { through.min(head) }",
            new: "{\n            let _ = (sent_everything, through, self.forked);\n            head\n        }",
        }],
        test: Test::Process("forks", "a_copy_that_could_send_only_a_part"),
        says: "FAILED",
    },
    Mutant {
        name: "branch-dropped",
        law: "L2",
        why: "What a forked device sent under the old name is not kept.",
        edits: &[Edit {
            file: LOG,
            old: "tx.hold_branch(NewChange { replica: id, seq, stamp, hash: *hash, bytes }, instead)",
            new: "{\n                    let _ = (tx, id, stamp, bytes, hash, instead);\n                    Ok(())\n                }",
        }],
        test: Test::Process("forks", "a_branch_whose_phone_is_lost"),
        says: "FAILED",
    },
    Mutant {
        name: "preds-name-too-much",
        law: "L2",
        why: "An ordinary edit replaces siblings that its screen did not show.",
        edits: &[Edit {
            file: CAPTURE,
            old: "if resolves { answer.all() } else { answer.displayed() }",
            new: "answer.all()",
        }],
        test: Test::Simulator,
        says: "law L2",
    },
    Mutant {
        name: "save-not-stored",
        law: "L2",
        why: "A save moves the list's line and the chain, and does not reach the log.",
        edits: &[Edit {
            file: CAPTURE,
            old: "        tx.insert_change(dot, id, Some(hash), None, &bytes)?;\n",
            new: "        if *wall_ms % 7 != 0 {
            tx.insert_change(dot, id, Some(hash), None, &bytes)?;
        }\n",
        }],
        test: Test::Simulator,
        says: "law",
    },
    Mutant {
        name: "late-pred-forgotten",
        law: "L3",
        why: "A pred that comes before the change that it names is not remembered.",
        edits: &[Edit {
            file: RECORD,
            old: "register.replaced.extend(preds.into_iter().map(|pred| (pred, dot)));",
            new: "let known: BTreeSet<Dot> = register.sets.iter().map(|(dot, _)| *dot).collect();
                    register.replaced.extend(preds.into_iter().filter(|p| known.contains(p)).map(|pred| (pred, dot)));",
        }],
        test: Test::Protocol("merge", ""),
        says: "FAILED",
    },
    Mutant {
        name: "removal-wins",
        law: "L3",
        why: "A removed row is gone whoever edits it meanwhile, if the removal comes first.",
        edits: &[Edit {
            file: RECORD,
            old: "    fn touch(&mut self, place: &Place, dot: Dot) {\n        if place.is_record() {",
            new: "    fn touch(&mut self, place: &Place, dot: Dot) {
        let is_removed = self.rows.get(place).is_some_and(|row| !row.removed.is_empty());
        if place.is_record() || is_removed {",
        }],
        test: Test::Simulator,
        says: "law L3",
    },
    Mutant {
        name: "cursor-past-its-rows",
        law: "L3",
        why: "A cursor covers rows that did not come with it.",
        edits: &[Edit {
            file: "server/src/domain/pull.rs",
            old: "Run { changes: delivered.collect(), proofs, moved,",
            new: "Run { changes: delivered.take(5).collect(), proofs, moved,",
        }],
        test: Test::Simulator,
        says: "law L3",
    },
    Mutant {
        name: "stamp-given-anew",
        law: "L3",
        why: "A restored server stamps again what it had stamped: winners change.",
        edits: &[Edit {
            file: INGEST,
            old: "Turn { given: stamps, ..Turn::new(tx, world, stamp, device.revoked) }",
            new: "{\n        drop(stamps);\n        Turn::new(tx, world, stamp, device.revoked)\n    }",
        }],
        test: Test::Process("restores", "what_a_restored_server_lacks"),
        says: "with its dot and its stamp",
    },
    Mutant {
        name: "later-clock-replaces",
        law: "L4",
        why: "The later clock replaces, as systems do that keep the last write.",
        edits: &[Edit {
            file: RECORD,
            old: "register.sets.push((dot, value));",
            new: "let older = |other: &Dot| self.origins.get(other).is_some_and(|origin| origin.wall_ms < wall_ms);
                    let replaced: Vec<Dot> = register.sets.iter().map(|(dot, _)| *dot).filter(older).collect();
                    register.replaced.extend(replaced.into_iter().map(|other| (other, dot)));
                    register.sets.push((dot, value));",
        }],
        test: Test::Simulator,
        says: "law",
    },
    Mutant {
        name: "only-the-winner-lives",
        law: "L4",
        why: "The clock that picks the sibling that is shown hides the others.",
        edits: &[Edit {
            file: "sync-protocol/src/record/view.rs",
            old: "sibling.origin.effective_ms(), sibling.dot)));\n        }\n",
            new: "sibling.origin.effective_ms(), sibling.dot)));\n            siblings.truncate(1);\n        }\n",
        }],
        test: Test::Simulator,
        says: "law",
    },
    Mutant {
        name: "clock-not-bounded",
        law: "L4",
        why: "A clock that is years ahead wins for ever.",
        edits: &[Edit {
            file: RECORD,
            old: "self.wall_ms.saturating_sub(stamp.skew_ms).min(stamp.received_ms)",
            new: "self.wall_ms.saturating_sub(stamp.skew_ms)",
        }],
        test: Test::Protocol("vectors", "records_merge"),
        says: "FAILED",
    },
    Mutant {
        name: "quarantine-blocks",
        law: "L5",
        why: "A change that can't be read fails the request that it came with.",
        edits: &[Edit {
            file: LOG,
            old: "                let change = self.insert(new, None, ChangeState::Quarantined)?;\n",
            new: "                if problem.code == Code::UnknownQuestion {
                    return Err(StoreError::Corrupt(\"a change that can't be read\"));
                }
                let change = self.insert(new, None, ChangeState::Quarantined)?;\n",
        }],
        test: Test::Simulator,
        says: "law L5",
    },
    Mutant {
        name: "night-ends-early",
        law: "L5",
        why: "The night is done when the server has no more, whatever the device still has.",
        edits: &[Edit {
            file: "sync-protocol/src/engine/device.rs",
            old: "!reply.cut_off && after.acked_through >= after.last && !owes;",
            new: "!reply.cut_off && !owes;",
        }],
        test: Test::Simulator,
        says: "law L5",
    },
    Mutant {
        name: "safe-by-the-newest-backup",
        law: "L6",
        why: "A change counts as safe that only the newest backup holds.",
        edits: &[Edit {
            file: BACKUPS,
            old: "uuid = ?1 AND backup = (SELECT min(id) FROM backup)",
            new: "uuid = ?1 AND backup = (SELECT max(id) FROM backup)",
        }],
        test: Test::Simulator,
        says: "law L",
    },
    Mutant {
        name: "backup-not-named-for-good",
        law: "L6",
        why: "A backup makes changes safe, and its name is gone after a power cut.",
        edits: &[Edit {
            file: BACKUP,
            old: "to.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())",
            new: "Ok(())",
        }],
        test: Test::Process("powerloss", "every_ack"),
        says: "is no backup",
    },
    Mutant {
        name: "old-journal-left",
        law: "L6",
        why: "A restore goes on before the old store is taken away for good: its journal is played into the new one.",
        edits: &[Edit {
            file: BACKUP,
            old: "parts.iter().try_for_each(std::fs::remove_file)?;\n        File::open(data)?.sync_all()",
            new: "parts.iter().try_for_each(std::fs::remove_file)",
        }],
        test: Test::Process("powerloss", "a_restore"),
        says: "FAILED",
    },
    Mutant {
        name: "broken-off-journal-left",
        law: "L6",
        why: "A restore that is done again copies over the file of the one that was broken off, and beside its journal.",
        edits: &[Edit {
            file: BACKUP,
            old: "for part in parts_of(&incoming) {",
            new: "for part in parts_of(&incoming).into_iter().filter(|part| *part == incoming) {",
        }],
        test: Test::Process("powerloss", "a_restore"),
        says: "epochs have ended",
    },
    Mutant {
        name: "acked-hash-left-out",
        law: "L6",
        why: "A seq alone tells a restored server how far a device takes itself for acked.",
        edits: &[Edit {
            file: "sync-protocol/src/engine/device.rs",
            old: "(!tells_own && at.acked_through > 0)",
            new: "(!tells_own && at.acked_through == u64::MAX)",
        }],
        test: Test::Process("disasters", "an_acked_life"),
        says: "on the server",
    },
    Mutant {
        name: "cursor-of-a-lost-epoch",
        law: "L6",
        why: "A cursor of an earlier epoch is believed, and passes over what has come since the restore.",
        edits: &[Edit { file: BACKUPS, old: "Ok(Some(cursor.min(head)))", new: "Ok(Some(cursor.max(head)))" }],
        test: Test::Simulator,
        says: "law L3",
    },
    Mutant {
        name: "epoch-without-a-name",
        law: "L6",
        why: "The restored server goes on under its old replica, and issues dots twice.",
        edits: &[Edit {
            file: "server/src/domain/identity.rs",
            old: "        make(tx, Some(&old))\n    }",
            new: "        Ok(old.epoch)\n    }",
        }],
        test: Test::Process("restores", "a_decision_after_the_restore"),
        says: "FAILED",
    },
    Mutant {
        name: "fork-says-nothing-again",
        law: "L7",
        why: "A copied phone takes a new name and leaves what it said under the old one.",
        edits: &[Edit { file: ABSORB, old: "held.retain(|(_, _, bytes)| !bytes.is_empty());", new: "held.clear();" }],
        test: Test::Simulator,
        says: "law L",
    },
    Mutant {
        name: "said-again-counts-twice",
        law: "L7",
        why: "What two copies of one phone author again is applied under both names.",
        edits: &[
            Edit {
                file: INGEST,
                old: "if tx.is_said_again(replaced)? || tx.is_held_by_kin(replica, replaced)? {",
                new: "if tx.is_held_by_kin(replica, replaced)? {",
            },
            Edit {
                file: "server/src/store/log.rs",
                old: "INSERT INTO said_again (hash, change)",
                new: "INSERT OR IGNORE INTO said_again (hash, change)",
            },
        ],
        test: Test::Process("forks", "copies_that_learn_of_their_fork"),
        says: "FAILED",
    },
    Mutant {
        name: "preds-not-renamed",
        law: "L7",
        why: "A branch that is authored again replaces the other life's answers by the numbers of its own.",
        edits: &[Edit {
            file: "sync-protocol/src/engine/reauthor.rs",
            old: "Renamed::To(dot) => Some(dot),",
            new: "Renamed::To(_) => Some(pred),",
        }],
        test: Test::Device("replies", "what_another_life_authored"),
        says: "FAILED",
    },
    Mutant {
        name: "revoked-device-pulls",
        law: "L8",
        why: "A device that was revoked still hears what others say.",
        edits: &[Edit {
            file: "server/src/domain/pull.rs",
            old: "    if device.revoked {\n",
            new: "    if device.revoked && request.replica.0.is_nil() {\n",
        }],
        test: Test::Process("bad_input", "a_revoked_device"),
        says: "FAILED",
    },
    Mutant {
        name: "everybody-sees-everything",
        law: "L8",
        why: "What an enumerator is assigned is read without the enumerator.",
        edits: &[Edit {
            file: "server/src/store/assignments.rs",
            old: "(SELECT area FROM assignment WHERE enumerator = ?1 UNION SELECT id FROM led)",
            new: "(SELECT area FROM assignment UNION SELECT id FROM led)",
        }],
        test: Test::Simulator,
        says: "law L8",
    },
    Mutant {
        name: "half-a-task-committed",
        law: "L9",
        why: "What a refused request wrote before it was refused stays.",
        edits: &[Edit { file: "server/src/writer.rs", old: "savepoint.finish()?;", new: "savepoint.commit()?;" }],
        test: Test::Server("a_task_that_fails"),
        says: "FAILED",
    },
    Mutant {
        name: "proof-end-left-out",
        law: "L9",
        why: "A proof is kept that names another hash than the one to which its changes lead.",
        edits: &[Edit {
            file: CHAIN,
            old: "hashes.is_ok_and(|hashes| hashes.last() == Some(&after))",
            new: "hashes.is_ok() && after == after",
        }],
        test: Test::Device("hub", "a_guest_takes_only"),
        says: "FAILED",
    },
    Mutant {
        name: "signature-check-left-out",
        law: "L9",
        why: "Anybody with a token may speak for any replica of its device.",
        edits: &[Edit {
            file: CHAIN,
            old: "if !span.is_some_and(|span| span.is_signed(&self.signature, key)) {",
            new: "if !span.is_some_and(|span| span.is_signed(&self.signature, key)) && self.first == 0 {",
        }],
        test: Test::Simulator,
        says: "law L9",
    },
    Mutant {
        name: "key-twice",
        law: "L9",
        why: "Of a key that stands twice the last is taken, silently.",
        edits: &[Edit {
            file: "sync-protocol/src/strict.rs",
            old: "if let Some(((key, _), _)) = twice {",
            new: "if let Some(((key, _), _)) = twice.filter(|_| false) {",
        }],
        test: Test::Protocol("vectors", ""),
        says: "FAILED",
    },
    Mutant {
        name: "hub-ack-counts-as-the-servers",
        law: "L1",
        why: "A phone takes what a hub acks for what the server holds.",
        edits: &[Edit {
            file: PEER,
            old: "            peer.acked = own_through(tx, replica, reply.header.acked_through, reply.header.acked_hash)?;",
            new: "            peer.acked = own_through(tx, replica, reply.header.acked_through, reply.header.acked_hash)?;
            tx.set_meta(meta::ACKED, &peer.acked.to_string())?;",
        }],
        test: Test::Simulator,
        says: "law L1",
    },
    Mutant {
        name: "hub-acks-before-the-commit",
        law: "L1",
        why: "A hub says that it holds what its transaction has not committed.",
        edits: &[
            Edit {
                file: HUB,
                old: "device.store.write(|tx| keep(tx, &met, &request, now_ms))?;",
                new: "device.store.read(|tx| keep(tx, &met, &request, now_ms))?;",
            },
            Edit {
                file: HUB,
                old: "            let mut reply = reply(tx, &met, &request, now_ms)?;",
                new: "            keep(tx, &met, &request, now_ms)?;
            let mut reply = reply(tx, &met, &request, now_ms)?;",
            },
        ],
        test: Test::Simulator,
        says: "law L1",
    },
    Mutant {
        name: "receipt-of-another-life",
        law: "L7",
        why: "A receipt is taken for any history of the replica, not for the one that it names.",
        edits: &[Edit {
            file: PEER,
            old: "if is_of_today && tx.hash_at(replica, receipt.seq)? == Some(receipt.hash) {",
            new: "if is_of_today && tx.hash_at(replica, receipt.seq)?.is_some() {",
        }],
        test: Test::Process("hubs", "both_lives"),
        says: "FAILED",
    },
    Mutant {
        name: "unproved-taken-from-a-hub",
        law: "L2",
        why: "A phone takes others' changes on a hub's word: the proof is there, nobody looks at it.",
        edits: &[Edit {
            file: PEER,
            old: "    if !span.is_proved(changes, *signature, &voucher.key) {",
            new: "    if !span.is_proved(changes, *signature, &voucher.key) && span.first == 0 {",
        }],
        test: Test::Device("hub", "a_guest_takes_only"),
        says: "FAILED",
    },
    Mutant {
        name: "receipt-past-quarantine",
        law: "L2",
        why: "A receipt says how far a history is held, whether it counts or not.",
        edits: &[Edit {
            file: "server/src/domain/hubs.rs",
            old: "tx.first_kept_apart(row.id)?.map_or(row.head, |first| row.head.min(first.saturating_sub(1)));",
            new: "tx.first_kept_apart(row.id)?.map_or(row.head, |_| row.head);",
        }],
        test: Test::Process("hubs", "what_waits"),
        says: "FAILED",
    },
    Mutant {
        name: "stranger-taken-back",
        law: "L1",
        why: "A restored server takes whoever is named for an author whom it has forgotten: the word is there, nobody looks whose.",
        edits: &[Edit {
            file: "server/src/domain/forgotten.rs",
            old: " && voucher.is_signed(&keys) {",
            new: " && !keys.is_empty() {",
        }],
        test: Test::Simulator,
        says: "nobody vouched for",
    },
    Mutant {
        name: "author-not-vouched-for",
        law: "L1",
        why: "Only hubs are told whose keys they are: what a plain phone holds of somebody whom no backup knows stays there.",
        edits: &[Edit {
            file: "server/src/domain/hubs.rs",
            old: "    if !is_hub && (bearer.is_none() || tx.safe_through(author)? > 0) {",
            new: "    if !is_hub {",
        }],
        test: Test::Process("restores", "what_others_hold"),
        says: "FAILED",
    },
];
