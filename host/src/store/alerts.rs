//! The alerts that fire, so that they are known after a restart too, and can be looked at.

use rusqlite::{Connection, Result, Row, params};

use super::Changes;
use super::rows::{self, int, labels_json};
use crate::alerts::Alert;
use crate::message::{ALERT_KIND, Message, Severity};

/// Writes alerts that are new or changed, and takes out those that are over.
pub(super) fn write(conn: &Connection, changes: &Changes) -> Result<()> {
    for alert in &changes.alerts {
        let Alert { message, .. } = alert;
        conn.prepare_cached(
            "INSERT INTO alerts (n, text, severity, source, labels, annotations, generator_url, starts, ends, updated)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT DO UPDATE SET annotations = ?6, generator_url = ?7, ends = ?9, updated = ?10",
        )?
        .execute(params![
            alert.n,
            message.text,
            message.severity.map(Severity::as_str),
            message.source.as_str(),
            labels_json(&message.labels),
            labels_json(&alert.annotations),
            alert.generator,
            int(alert.starts),
            int(alert.ends),
            int(alert.updated),
        ])?;
    }
    for n in &changes.alerts_gone {
        conn.prepare_cached("DELETE FROM alerts WHERE n = ?1")?.execute([n])?;
    }
    Ok(())
}

/// All that fire, in the order of coming.
pub(super) fn load(conn: &Connection) -> Result<Vec<Alert>> {
    let mut statement = conn.prepare(
        "SELECT n, text, severity, source, labels, annotations, generator_url, starts, ends, updated
         FROM alerts ORDER BY n",
    )?;
    let alerts = statement.query_map([], read)?;
    alerts.collect()
}

fn read(row: &Row<'_>) -> Result<Alert> {
    Ok(Alert {
        n: row.get(0)?,
        message: Message {
            text: row.get(1)?,
            kind: ALERT_KIND.into(),
            severity: rows::read_severity(row, 2)?,
            labels: rows::read_labels(row, 4)?,
            source: row.get::<_, String>(3)?.into(),
        },
        annotations: rows::read_labels(row, 5)?,
        generator: row.get(6)?,
        starts: rows::read_uint(row, 7)?,
        ends: rows::read_uint(row, 8)?,
        updated: rows::read_uint(row, 9)?,
    })
}
