//! What else happens by itself: a schedule fires, an upload wakes a function, a row expires.

use jiff::Timestamp;
use serde_json::json;

use crate::cloud::{Contract, marker};

#[tokio::test]
async fn a_schedule_fires() {
    let contract = Contract::start().await;
    let marker = marker("schedule");
    let at = Timestamp::now().as_second() + 1;
    let schedule = json!({
        "ScheduleExpression": format!("at({})", Timestamp::from_second(at).unwrap().strftime("%Y-%m-%dT%H:%M:%S")),
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": contract.outputs.stack["WorkerArn"],
            "RoleArn": contract.outputs.stack["SchedulerRoleArn"],
            "Input": json!({ "marker": marker }).to_string(),
        },
    });
    let headers = [("content-type", "application/json")];

    let path = format!("/schedules/{marker}");
    let made = contract
        .cloud
        .signed(
            "scheduler",
            "POST",
            &path,
            &headers,
            schedule.to_string().into_bytes(),
        )
        .await
        .unwrap();

    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(contract.sees(&marker).await[0].1["marker"], marker);
}

#[tokio::test]
async fn an_upload_wakes_its_function() {
    let contract = Contract::start().await;
    let marker = marker("upload");

    let path = format!("/{}/{marker}/file.txt", contract.outputs.buckets["uploads"]);
    let stored = contract
        .cloud
        .signed("s3", "PUT", &path, &[], b"hello".to_vec())
        .await
        .unwrap();

    assert_eq!(stored.status, 200, "{}", stored.text());
    assert_eq!(
        contract.sees(&marker).await[0].1["key"],
        format!("{marker}/file.txt")
    );
}

#[tokio::test]
async fn a_table_expires_its_rows_as_the_template_says() {
    let contract = Contract::start().await;
    let table = json!({ "TableName": contract.outputs.tables["observations"] });

    let described = contract
        .call("dynamodb", "DynamoDB_20120810.DescribeTimeToLive", table)
        .await;

    let expected = json!({ "TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at" });
    assert_eq!(described["TimeToLiveDescription"], expected);
}
