//! The words of the user pool's mail.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), runtime::Error> {
    runtime::start();
    runtime::serve::trigger(async |event| Ok(auth::triggers::answer(event))).await
}
