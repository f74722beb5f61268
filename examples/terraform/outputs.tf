output "webhook_url" {
  description = "Where an identity provider sends its deliveries, followed by the source's name."
  value       = aws_cloudformation_stack.offboard.outputs["WebhookUrl"]
}

output "stack" {
  description = "All outputs of the stack. The command line reads them by itself: --stack NAME."
  value       = aws_cloudformation_stack.offboard.outputs
}
