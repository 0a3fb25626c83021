pub fn a(){ let _ = aws_smithy_http_client::Builder::new().build_http(); let _ = aws_sdk_dynamodb::Config::builder(); }
