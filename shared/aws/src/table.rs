//! A `DynamoDB` table with the keys `pk` and `sk` and the index `gsi1` over `gsi1pk` and `gsi1sk`.

mod count;
mod rows;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, Delete, Put, ReturnValue,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use aws_smithy_types::error::operation::BuildError;
use ports::table::{
    Count, Counted, If, Item, Key, Page, Query, Table, Write, WriteError, check_parts,
};
use ports::{Port, PortError};

use crate::failure;

/// The name of the index.
const INDEX: &str = "gsi1";

/// A table.
pub struct DynamoTable {
    client: Client,
    name: String,
}

impl DynamoTable {
    /// The table of this name.
    pub fn new(config: &SdkConfig, name: String) -> Self {
        Self {
            client: Client::new(config),
            name,
        }
    }

    /// One part without a condition: the same again changes nothing, so a retry needs no protection, and
    /// it costs half of a transaction.
    async fn write_one(&self, part: Write) -> Result<(), WriteError> {
        match part {
            Write::Put(item, _) => {
                let row = rows::of_item(item);
                let put = self
                    .client
                    .put_item()
                    .table_name(&self.name)
                    .set_item(Some(row));
                put.send().await.map_err(|error| {
                    write_failure(failure::code(&error), failure::of_call(Port::Table, &error))
                })?;
            }
            Write::Delete(key, _) => {
                let delete = self
                    .client
                    .delete_item()
                    .table_name(&self.name)
                    .set_key(Some(rows::of_key(&key)));
                delete.send().await.map_err(|error| {
                    write_failure(failure::code(&error), failure::of_call(Port::Table, &error))
                })?;
            }
            Write::Check(..) | Write::Count(_) => {}
        }
        Ok(())
    }

    /// All parts or none. The SDK puts a token of its own into the request before its first try, by which
    /// the service recognises a retry after a lost answer.
    async fn transact(&self, parts: Vec<Write>) -> Result<(), WriteError> {
        let parts = parts
            .into_iter()
            .map(|part| self.part(part))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| malformed(&error))?;
        self.client
            .transact_write_items()
            .set_transact_items(Some(parts))
            .send()
            .await
            .map_err(|error| match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    cancellation(cancelled.cancellation_reasons())
                }
                _ => write_failure(failure::code(&error), failure::of_call(Port::Table, &error)),
            })?;
        Ok(())
    }

    fn part(&self, part: Write) -> Result<TransactWriteItem, BuildError> {
        let item = TransactWriteItem::builder();
        Ok(match part {
            Write::Put(row, condition) => {
                let put = Put::builder()
                    .table_name(&self.name)
                    .set_item(Some(rows::of_item(row)));
                let put = match expression(&condition) {
                    None => put,
                    Some(expression) => put
                        .condition_expression(expression)
                        .set_expression_attribute_values(version(&condition)),
                };
                item.put(put.build()?)
            }
            Write::Delete(key, condition) => {
                let delete = Delete::builder()
                    .table_name(&self.name)
                    .set_key(Some(rows::of_key(&key)));
                let delete = match expression(&condition) {
                    None => delete,
                    Some(expression) => delete
                        .condition_expression(expression)
                        .set_expression_attribute_values(version(&condition)),
                };
                item.delete(delete.build()?)
            }
            Write::Check(key, condition) => {
                // A check must say something, even that anything is fine.
                let expression = expression(&condition)
                    .unwrap_or("attribute_exists(pk) OR attribute_not_exists(pk)");
                let check = ConditionCheck::builder()
                    .table_name(&self.name)
                    .set_key(Some(rows::of_key(&key)))
                    .condition_expression(expression)
                    .set_expression_attribute_values(version(&condition));
                item.condition_check(check.build()?)
            }
            Write::Count(count) => {
                let update = count::Update::of(&count);
                let change = Update::builder()
                    .table_name(&self.name)
                    .set_key(Some(rows::of_key(&count.key)))
                    .update_expression(update.change)
                    .set_condition_expression(update.condition)
                    .set_expression_attribute_names(Some(update.names))
                    .set_expression_attribute_values(Some(update.values));
                item.update(change.build()?)
            }
        }
        .build())
    }
}

#[async_trait]
impl Table for DynamoTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        key.check()?;
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(rows::of_key(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failure::of_call(Port::Table, &error))?;
        answer.item.map(rows::to_item).transpose()
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        query.check()?;
        let (pk, sk) = if query.by_index {
            ("gsi1pk", "gsi1sk")
        } else {
            ("pk", "sk")
        };
        let mut ask = self
            .client
            .query()
            .table_name(&self.name)
            .set_index_name(query.by_index.then(|| INDEX.to_owned()))
            .consistent_read(!query.by_index)
            .scan_index_forward(!query.descending)
            .limit(i32::try_from(query.limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(query.after.as_ref().map(rows::of_cursor))
            .expression_attribute_values(":pk", AttributeValue::S(query.pk.clone()));
        // No key begins with an empty text, says the service.
        ask = if query.sk_prefix.is_empty() {
            ask.key_condition_expression(format!("{pk} = :pk"))
        } else {
            ask.key_condition_expression(format!("{pk} = :pk AND begins_with({sk}, :sk)"))
                .expression_attribute_values(":sk", AttributeValue::S(query.sk_prefix.clone()))
        };
        let answer = ask
            .send()
            .await
            .map_err(|error| failure::of_call(Port::Table, &error))?;
        Ok(Page {
            items: answer
                .items
                .unwrap_or_default()
                .into_iter()
                .map(rows::to_item)
                .collect::<Result<_, _>>()?,
            next: answer.last_evaluated_key.map(rows::to_cursor).transpose()?,
        })
    }

    async fn write(&self, mut parts: Vec<Write>) -> Result<(), WriteError> {
        check_parts(&parts)?;
        match parts.as_slice() {
            [
                Write::Put(_, If::Always)
                | Write::Delete(_, If::Always)
                | Write::Check(_, If::Always),
            ] => self.write_one(parts.remove(0)).await,
            _ => self.transact(parts).await,
        }
    }

    async fn count(&self, count: Count) -> Result<Counted, PortError> {
        count.check()?;
        let update = count::Update::of(&count);
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(rows::of_key(&count.key)))
            .update_expression(update.change)
            .set_condition_expression(update.condition)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(Counted::Done(rows::numbers(answer.attributes.as_ref()))),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    Ok(Counted::Refused(rows::numbers(refused.item.as_ref())))
                }
                // A transaction holds the row for a moment; the same call may pass later.
                Some(UpdateItemError::TransactionConflictException(_)) => {
                    Err(PortError::Throttled {
                        port: Port::Table,
                        cause: "a transaction is under way".into(),
                    })
                }
                _ => Err(failure::of_call(Port::Table, &error)),
            },
        }
    }
}

fn expression(condition: &If) -> Option<&'static str> {
    match condition {
        If::Always => None,
        If::Absent => Some("attribute_not_exists(pk)"),
        If::Present => Some("attribute_exists(pk)"),
        If::VersionIs(_) => Some("version = :version"),
    }
}

/// The value that [`expression`] compares with.
fn version(condition: &If) -> Option<rows::Row> {
    match condition {
        If::VersionIs(version) => Some(
            [(
                ":version".to_owned(),
                AttributeValue::N(version.to_string()),
            )]
            .into(),
        ),
        _ => None,
    }
}

/// Why a transaction was cancelled: one reason a part, in the order of the parts.
fn cancellation(reasons: &[CancellationReason]) -> WriteError {
    let code = |reason: &CancellationReason| reason.code().unwrap_or("None").to_owned();
    let codes: Vec<String> = reasons.iter().map(code).collect();
    let failed: Vec<usize> = (0..codes.len())
        .filter(|index| codes[*index] == "ConditionalCheckFailed")
        .collect();
    if !failed.is_empty() {
        return WriteError::Condition(failed);
    }
    match reasons.iter().find(|reason| code(reason) != "None") {
        Some(reason) if code(reason) == "TransactionConflict" => WriteError::Conflict,
        Some(reason) => {
            let code = code(reason).replace("ProvisionedThroughputExceeded", "ThrottlingError");
            let cause = format!("{code}: {}", reason.message().unwrap_or_default());
            failure::of_code(Port::Table, &code, false, cause).into()
        }
        None => PortError::Unavailable {
            port: Port::Table,
            cause: "cancelled for no reason".into(),
        }
        .into(),
    }
}

fn write_failure(code: &str, otherwise: PortError) -> WriteError {
    match code {
        "TransactionConflictException" | "TransactionInProgressException" => WriteError::Conflict,
        _ => otherwise.into(),
    }
}

fn malformed(error: &BuildError) -> WriteError {
    PortError::Refused {
        port: Port::Table,
        cause: error.to_string(),
    }
    .into()
}
