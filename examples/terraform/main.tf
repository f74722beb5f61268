# Deploys a release of offboard with your own configuration, as the release's own CloudFormation template, so that alarms
# and permissions are those of the release.

terraform {
  required_version = ">= 1.5"
  required_providers {
    archive = {
      source  = "hashicorp/archive"
      version = "~> 2.4"
    }
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

locals {
  code     = "${var.release}/function.zip"
  prefix   = "${var.name}/${filesha256(local.code)}"
  uploaded = "s3://${var.bucket}/${aws_s3_object.code.key}"
  released = replace(file("${var.release}/template.yaml"), "CodeUri: function.zip", "CodeUri: ${local.uploaded}")
  # The layer that the template would build is not made, but SAM refuses a path of this machine all the same.
  template = replace(local.released, "ContentUri: config/", "ContentUri: ${local.uploaded}")
}

resource "aws_s3_object" "code" {
  bucket      = var.bucket
  key         = "${local.prefix}/function.zip"
  source      = local.code
  source_hash = filesha256(local.code)
}

# A layer of your configuration.
data "archive_file" "configuration" {
  type        = "zip"
  output_path = "${path.root}/.terraform/${var.name}-configuration.zip"
  source_dir  = var.configuration
}

resource "aws_lambda_layer_version" "configuration" {
  layer_name               = "${var.name}-configuration"
  description              = "offboard.toml, and providers/ with kinds of your own"
  filename                 = data.archive_file.configuration.output_path
  source_code_hash         = data.archive_file.configuration.output_base64sha256
  compatible_runtimes      = ["provided.al2023"]
  compatible_architectures = ["arm64", "x86_64"]

  # The stack moves to the new version before the old one goes.
  lifecycle {
    create_before_destroy = true
  }
}

# Beyond the size that CloudFormation takes in a request.
resource "aws_s3_object" "template" {
  bucket  = var.bucket
  key     = "${local.prefix}/${sha256(local.template)}.yaml"
  content = local.template

  lifecycle {
    create_before_destroy = true
  }
}

data "aws_s3_bucket" "this" {
  bucket = var.bucket
}

resource "aws_cloudformation_stack" "offboard" {
  name         = var.name
  template_url = "https://${data.aws_s3_bucket.this.bucket_regional_domain_name}/${aws_s3_object.template.key}"
  # The function has a role, and the template is one of SAM.
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
  parameters   = merge(var.parameters, { ConfigurationLayer = aws_lambda_layer_version.configuration.arn })
}
