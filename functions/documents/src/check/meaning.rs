//! What data of the right shape can still get wrong: dates in the wrong order, an account number with
//! a slip in it, a row with a cell too many, a sum beyond what can be shown.

use domain::Text;
use serde_json::Value;

use super::Fault;
use crate::iban;
use crate::invoice::SumError;

/// The faults of an invoice whose shape is right.
pub fn invoice(data: &Value) -> Vec<Fault> {
    [due_date(data), account(data), quantities(data)]
        .into_iter()
        .flatten()
        .collect()
}

/// Dates of this format compare as they sort.
fn due_date(data: &Value) -> Vec<Fault> {
    match (data["issue_date"].as_str(), data["due_date"].as_str()) {
        (Some(issued), Some(due)) if due < issued => vec![fault(
            "/data/due_date",
            Text::fixed(
                "Es anterior a la fecha de emisión",
                "Is before the issue date",
            ),
        )],
        _ => vec![],
    }
}

fn account(data: &Value) -> Vec<Fault> {
    match data["payment"]["iban"].as_str() {
        Some(text) if !iban::is_valid(text) => vec![fault(
            "/data/payment/iban",
            Text::fixed(
                "No es un IBAN válido: los dígitos de control no cuadran",
                "Is not a valid IBAN: its check digits do not match",
            ),
        )],
        _ => vec![],
    }
}

/// The schema's pattern cannot tell zero from other decimals, nor compare them.
fn quantities(data: &Value) -> Vec<Fault> {
    let lines = data["lines"].as_array().map_or(&[][..], Vec::as_slice);
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| {
            crate::invoice::thousandths(&line["quantity"])
                .is_none_or(|q| !(1..=1_000_000_000).contains(&q))
        })
        .map(|(index, _)| {
            fault(
                &format!("/data/lines/{index}/quantity"),
                Text::fixed(
                    "Debe ser mayor que 0 y como máximo 1000000",
                    "Must be more than 0 and at most 1000000",
                ),
            )
        })
        .collect()
}

/// The fault of a sum that does not fit.
pub fn sum_fault(error: &SumError) -> Fault {
    let pointer = match error {
        SumError::Line(index) => format!("/data/lines/{index}"),
        SumError::Total => "/data/lines".to_owned(),
    };
    fault(
        &pointer,
        Text::fixed("El importe es demasiado grande", "The amount is too large"),
    )
}

/// The faults of a report whose shape is right.
pub fn report(data: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    sections(data, "/data", &mut faults);
    faults
}

fn sections(parent: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    for (index, section) in parent["sections"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let pointer = format!("{pointer}/sections/{index}");
        for (index, block) in section["blocks"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            table(
                &block["table"],
                &format!("{pointer}/blocks/{index}/table"),
                faults,
            );
        }
        sections(section, &pointer, faults);
    }
}

fn table(table: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    let columns = table["columns"].as_array().map_or(0, Vec::len);
    for (index, row) in table["rows"].as_array().into_iter().flatten().enumerate() {
        if row.as_array().is_some_and(|cells| cells.len() != columns) {
            faults.push(fault(
                &format!("{pointer}/rows/{index}"),
                Text::with(
                    format!("Debe tener {columns} celdas, una por columna"),
                    format!("Must have {columns} cells, one for each column"),
                ),
            ));
        }
    }
}

fn fault(pointer: &str, detail: Text) -> Fault {
    Fault {
        pointer: pointer.to_owned(),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;
    use serde_json::json;

    fn invoice_pointers(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut data = Template::Invoice.samples()[0].clone();
        change(&mut data);
        invoice(&data)
            .into_iter()
            .map(|fault| fault.pointer)
            .collect()
    }

    #[test]
    fn an_invoice_is_not_due_before_it_is_issued() {
        assert_eq!(
            invoice_pointers(|d| d["due_date"] = json!("2026-11-23")),
            ["/data/due_date"]
        );
        assert!(invoice_pointers(|d| d["due_date"] = json!("2026-11-24")).is_empty());
    }

    #[test]
    fn a_slip_in_the_account_number_is_found() {
        let slip =
            invoice_pointers(|d| d["payment"]["iban"] = json!("ES91 2100 0418 4502 0005 1333"));

        assert_eq!(slip, ["/data/payment/iban"]);
    }

    #[test]
    fn a_quantity_of_nothing_is_refused_in_each_spelling() {
        for zero in ["0", "0.0", "0.000", "1000000.001"] {
            assert_eq!(
                invoice_pointers(|d| d["lines"][1]["quantity"] = json!(zero)),
                ["/data/lines/1/quantity"]
            );
        }
    }

    #[test]
    fn a_row_has_one_cell_for_each_column() {
        let mut data = Template::Report.samples()[0].clone();
        data["sections"][1]["blocks"][1]["table"]["rows"][2] = json!(["one", "two"]);

        let pointers: Vec<_> = report(&data)
            .into_iter()
            .map(|fault| fault.pointer)
            .collect();

        assert_eq!(pointers, ["/data/sections/1/blocks/1/table/rows/2"]);
    }
}
